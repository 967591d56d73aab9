//! The page of a small set of settings, kinds that contain each other among them.

#![allow(unreachable_pub, dead_code, reason = "settings are public where they are settings of a file")]

use super::*;
use crate::config::{Node, Problems, bounds};

crate::settings! {
    /// The oven.
    ///
    /// See [`Heat`].
    #[derive(Debug, Clone, PartialEq)]
    pub struct Oven {
        /// How it is heated,
        /// from a|b.
        heat: Heat = Heat::Fan(Fan { speed: 2.0 });
        /// What is in it.
        dishes: Vec<Dish>;
        /// Minutes.
        minutes: Option<u64> = None, bounds::COUNT;
        /// What cools it.
        cooling: Cooling = Cooling::Off;
        /// Its name.
        label: String = "old".to_owned();
    }
}

crate::kinds! {
    /// Heat.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Heat ("a heat") {
        /// From above.
        "grill" => Grill,
        /// Moving air: `v = s`.
        "fan" => Fan(Fan),
    }
}

crate::settings! {
    /// A fan.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Fan {
        /// Metres a second.
        speed: f64 = 1.0, bounds::POSITIVE;
    }
}

crate::kinds! {
    /// A dish.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Dish ("a dish") by key {
        /// Dishes in a pot.
        "pot" => Pot(Pot),
    }
}

crate::settings! {
    /// A pot.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Pot {
        /// What is in it.
        pot: Vec<Dish>;
        size: u64 = 3;
    }
}

#[test]
fn a_page_has_each_type_once_with_its_defaults() {
    let sections = [
        Section::new("Kitchen", "Hot.").with::<Oven>("oven"),
        Section::new("Heats", "").with::<Heat>("oven.heat"),
    ];
    insta::assert_snapshot!(markdown(&sections));
    assert_eq!(unexplained(&sections), ["oven.dishes.pot.size"]);
}

/// Read by hand: `"off"`, or one of two tables.
#[derive(Debug, Clone, PartialEq)]
pub enum Cooling {
    Off,
    Spoon(Spoon),
    Air(Fan),
}

impl Decode for Cooling {
    const EXPECTED: &'static str = "\"off\", or a table with `spoon` or `speed`";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match node.get("spoon") {
            _ if node.as_str() == Some("off") => Some(Self::Off),
            Some(_) => Spoon::decode(node, path, problems).map(Self::Spoon),
            None => Fan::decode(node, path, problems).map(Self::Air),
        }
    }

    fn schema() -> Schema {
        Schema::words(Self::EXPECTED, vec![Spoon::schema(), Fan::schema()])
    }

    fn written(&self) -> Option<String> {
        match self {
            Self::Off => Some("\"off\"".to_owned()),
            Self::Spoon(spoon) => spoon.written(),
            Self::Air(fan) => fan.written(),
        }
    }
}

/// Settings may be declared by a macro that passes documentation on.
macro_rules! spoon {
    ($(#[doc = $doc:literal])* $name:ident, $key:ident) => {
        crate::settings! {
            $(#[doc = $doc])*
            #[derive(Debug, Clone, PartialEq)]
            pub struct $name {
                /// How long it is.
                $key: f64;
            }
        }
    };
}

spoon!(
    /// A spoon.
    Spoon, spoon
);

#[test]
fn documentation_passes_through_macros() {
    let Schema::Table(table) = Spoon::schema() else { panic!("{:?}", Spoon::schema()) };
    assert_eq!(
        (table.doc, table.fields[0].key, table.fields[0].doc),
        (" A spoon.\n", "spoon", " How long it is.\n")
    );
}

#[test]
fn what_is_written_is_what_was_read() {
    for text in [
        "{ heat = \"grill\", dishes = [], cooling = { spoon = 0.2 } }",
        "{ dishes = [{ pot = [{ pot = [], size = 1 }] }], minutes = 5, label = \"new\" }",
        "{ heat = \"fan\", dishes = [] }",
        "{ heat = { kind = \"fan\", speed = 0.5 }, dishes = [] }",
    ] {
        let node = Node::parse(&format!("oven = {text}"), "kitchen").unwrap();
        let mut problems = Problems::new("kitchen");
        let oven = Oven::decode(node.get("oven").unwrap(), "oven", &mut problems).unwrap();
        assert_eq!(oven.written().as_deref(), Some(text));
    }
}
