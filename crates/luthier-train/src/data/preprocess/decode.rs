//! Reading how data is transformed from a study file.

use luthier_core::config::{Decode, Node, Problems};

use super::{Impute, Scale};

impl Decode for Scale {
    const EXPECTED: &'static str = "\"standardize\", \"normalize\" or \"none\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let read = match node.as_str() {
            Some("standardize") => Some(Self::Standardize),
            Some("normalize") => Some(Self::Normalize),
            Some("none") => Some(Self::None),
            _ => None,
        };
        if read.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        read
    }
}

impl Decode for Impute {
    const EXPECTED: &'static str = "\"median\", \"mean\", \"most_frequent\" or { constant = NUMBER }";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let constant =
            node.as_table().filter(|table| table.len() == 1).and_then(|table| table.get("constant"));
        if let Some(constant) = constant {
            return f64::decode(constant, &format!("{path}.constant"), problems).map(Self::Constant);
        }
        let read = match node.as_str() {
            Some("median") => Some(Self::Median),
            Some("mean") => Some(Self::Mean),
            Some("most_frequent") => Some(Self::MostFrequent),
            _ => None,
        };
        if read.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        read
    }
}
