//! The macros that declare settings: [`settings!`](crate::settings) and [`kinds!`](crate::kinds).

/// Declares a struct of settings and how it is read from a table.
///
/// Each key has its documentation, its type, perhaps a default (`=`) and perhaps a [`Bound`] (after a
/// comma). The struct implements [`Decode`] and [`Documented`].
///
/// Rules that join several keys stand behind the braces, as `check Self::check`: a function of the settings,
/// the [`Node`], its path and the [`Problems`] to add to.
///
/// ```
/// use luthier_core::config::{bounds, Decode, Node, Problems};
///
/// luthier_core::settings! {
///     /// Adam.
///     #[derive(Debug, Clone, PartialEq)]
///     pub struct Adam {
///         /// Step size.
///         learning_rate: f64 = 1e-3, bounds::POSITIVE;
///         /// Decay of the first moment.
///         beta1: f64 = 0.9, bounds::BELOW_ONE;
///     }
/// }
///
/// let file = Node::parse("learning_rte = 1\nbeta1 = 2", "adam.toml").unwrap();
/// let mut problems = Problems::new("adam.toml");
/// assert_eq!(Adam::decode(&file, "", &mut problems), None);
/// assert_eq!(problems.iter().count(), 2);
/// assert_eq!(problems.iter().last().unwrap().help.as_deref(), Some("did you mean `learning_rate`?"));
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$($meta:tt)*])*
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident : $type:ty $(= $default:expr)? $(, $bound:expr)? ; )*
        } $(check $check:expr)?
    ) => {
        $(#[$($meta)*])*
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl $crate::config::Decode for $name {
            const EXPECTED: &'static str = "a table";

            fn schema() -> $crate::config::Schema {
                $crate::config::Schema::Table($crate::config::TableSchema {
                    name: stringify!($name),
                    doc: concat!($($crate::settings!(@doc $($meta)*)),*),
                    fields: <Self as $crate::config::Documented>::FIELDS.to_vec(),
                })
            }

            #[allow(unused_mut, reason = "a struct may have no field")]
            fn written(&self) -> Option<String> {
                let mut keys: Vec<String> = Vec::new();
                $(
                    let value = <$type as $crate::config::Decode>::written(&self.$field)?;
                    let default: Option<String> = $crate::settings!(@written $type $(, $default)?);
                    if !value.is_empty() && default.as_ref() != Some(&value) {
                        keys.push(format!(concat!(stringify!($field), " = {}"), value));
                    }
                )*
                Some(if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) })
            }

            #[allow(unused_variables, unused_mut, reason = "a struct may have no field, a field no bound")]
            fn decode(
                node: &$crate::config::Node,
                path: &str,
                problems: &mut $crate::config::Problems,
            ) -> Option<Self> {
                let fields = $crate::config::Fields::open(node, path, problems)?;
                $(
                    let $field: Option<$type> = $crate::settings!(@read fields, problems, $field, $type $(, $default)?);
                    $( let $field = $field.and_then(|value| fields.within(stringify!($field), value, &$bound, problems)); )?
                )*
                let before = problems.iter().count();
                fields.close(&[$(stringify!($field)),*], problems);
                if problems.iter().count() > before {
                    return None;
                }
                let settings = Self { $( $field: $field?, )* };
                $(
                    $check(&settings, node, path, problems);
                    if problems.iter().count() > before {
                        return None;
                    }
                )?
                Some(settings)
            }
        }

        impl $crate::config::Documented for $name {
            const FIELDS: &'static [$crate::config::Field] = &[
                $( $crate::config::Field {
                    key: stringify!($field),
                    doc: concat!($($doc, "\n"),*),
                    expected: $crate::settings!(@expected $type $(, $bound)?),
                    default: $crate::settings!(@default $type $(, $default)?),
                    schema: <$type as $crate::config::Decode>::schema,
                }, )*
            ];
        }
    };
    (@read $fields:ident, $problems:ident, $field:ident, $type:ty) => {
        $fields.required::<$type>(stringify!($field), $problems)
    };
    (@read $fields:ident, $problems:ident, $field:ident, $type:ty, $default:expr) => {
        $fields.or::<$type>(stringify!($field), || $default, $problems)
    };
    (@expected $type:ty) => { <$type as $crate::config::Decode>::EXPECTED };
    (@expected $type:ty, $bound:expr) => { $bound.expected };
    (@default $type:ty) => { None };
    (@default $type:ty, $default:expr) => {
        Some(|| {
            let default: $type = $default;
            $crate::config::default_text(&default, stringify!($default))
        })
    };
    (@written $type:ty) => { None };
    (@written $type:ty, $default:expr) => {{
        let default: $type = $default;
        <$type as $crate::config::Decode>::written(&default)
    }};
    (@doc doc = $doc:literal) => { concat!($doc, "\n") };
    (@doc $($other:tt)*) => { "" };
}

/// Declares an enum of settings that are told apart by their name: `"adam"`, or
/// `{ kind = "adam", … }`. With `by key`, by the key that is present: `{ dense = 64, … }`.
///
/// A kind without settings of its own has no parentheses.
#[macro_export]
macro_rules! kinds {
    (
        $(#[$($meta:tt)*])*
        pub enum $name:ident ($expected:literal) {
            $( $(#[doc = $doc:literal])* $kind:literal => $variant:ident $(($settings:ty))? , )*
        }
    ) => {
        $crate::kinds!(@declare [$(#[$($meta)*])*] $name $expected, $( [$(#[doc = $doc])*] $kind $variant $(($settings))? , )*);
        $crate::kinds!(@decode [$([$($meta)*])*] false $name $expected, (node, path, problems) => $crate::config::decode_kind(node, path, Self::KINDS, problems), $( [$($doc)*] $kind $variant $(($settings))? , )*);
    };
    (
        $(#[$($meta:tt)*])*
        pub enum $name:ident ($expected:literal) by key {
            $( $(#[doc = $doc:literal])* $kind:literal => $variant:ident ($settings:ty) , )*
        }
    ) => {
        $crate::kinds!(@declare [$(#[$($meta)*])*] $name $expected, $( [$(#[doc = $doc])*] $kind $variant ($settings) , )*);
        $crate::kinds!(@decode [$([$($meta)*])*] true $name $expected, (node, path, problems) => $crate::config::keyed_by(node, path, $expected, Self::KINDS, problems), $( [$($doc)*] $kind $variant ($settings) , )*);
    };
    (@declare [$(#[$($meta:tt)*])*] $name:ident $expected:literal, $( [$(#[doc = $doc:literal])*] $kind:literal $variant:ident $(($settings:ty))? , )*) => {
        $(#[$($meta)*])*
        pub enum $name {
            $( $(#[doc = $doc])* $variant $(($settings))?, )*
        }

        impl $name {
            /// The names of all kinds.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// Its name in a file.
            pub fn kind(&self) -> &'static str {
                match self {
                    $( $crate::kinds!(@pattern $variant $(($settings))?) => $kind, )*
                }
            }
        }
    };
    (@decode [$([$($meta:tt)*])*] $by_key:tt $name:ident $expected:literal, ($node:ident, $path:ident, $problems:ident) => $find:expr, $( [$($doc:literal)*] $kind:literal $variant:ident $(($settings:ty))? , )*) => {
        impl $crate::config::Decode for $name {
            const EXPECTED: &'static str = $expected;

            fn schema() -> $crate::config::Schema {
                $crate::config::Schema::Kinds($crate::config::KindsSchema {
                    name: stringify!($name),
                    doc: concat!($($crate::settings!(@doc $($meta)*)),*),
                    expected: $expected,
                    by_key: $by_key,
                    kinds: vec![$( $crate::config::KindSchema {
                        kind: $kind,
                        doc: concat!($($doc, "\n"),*),
                        settings: $crate::kinds!(@settings $($settings)?),
                    } ),*],
                    common: Vec::new(),
                })
            }

            fn written(&self) -> Option<String> {
                match self {
                    $( $crate::kinds!(@bind settings $variant $(($settings))?) => $crate::kinds!(@written $by_key $kind settings $(($settings))?), )*
                }
            }

            fn decode(
                $node: &$crate::config::Node,
                $path: &str,
                $problems: &mut $crate::config::Problems,
            ) -> Option<Self> {
                let (index, rest) = $find?;
                match Self::KINDS[index] {
                    $( $kind => $crate::kinds!(@build $variant $(($settings))?, rest, $path, $problems), )*
                    _ => None,
                }
            }
        }
    };
    (@settings) => { None };
    (@settings $settings:ty) => { Some(<$settings as $crate::config::Decode>::schema) };
    (@bind $bound:ident $variant:ident) => { Self::$variant };
    (@bind $bound:ident $variant:ident ($settings:ty)) => { Self::$variant($bound) };
    (@written $by_key:tt $kind:literal $bound:ident) => { Some(format!("{:?}", $kind)) };
    (@written true $kind:literal $bound:ident ($settings:ty)) => { <$settings as $crate::config::Decode>::written($bound) };
    (@written false $kind:literal $bound:ident ($settings:ty)) => {
        <$settings as $crate::config::Decode>::written($bound).map(|settings| $crate::config::kind_text($kind, &settings))
    };
    (@pattern $variant:ident) => { Self::$variant };
    (@pattern $variant:ident ($settings:ty)) => { Self::$variant(_) };
    (@build $variant:ident, $rest:ident, $path:ident, $problems:ident) => {{
        let before = $problems.iter().count();
        if let Some(fields) = $crate::config::Fields::open(&$rest, $path, $problems) {
            fields.close(&[], $problems);
        }
        ($problems.iter().count() == before).then_some(Self::$variant)
    }};
    (@build $variant:ident ($settings:ty), $rest:ident, $path:ident, $problems:ident) => {
        <$settings as $crate::config::Decode>::decode(&$rest, $path, $problems).map(Self::$variant)
    };
}
