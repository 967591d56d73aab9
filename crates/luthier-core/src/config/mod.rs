//! Study files: from TOML text to checked, typed settings.
//!
//! The way of a study file:
//!
//! 1. [`Node::parse`] reads the text into a tree that knows its lines.
//! 2. [`Template::new`] finds the ranges in the tree, names them by their paths and makes the
//!    [`Space`](crate::Space) of them.
//! 3. [`Template::fill`] puts values in the places of the ranges.
//! 4. [`Decode`] turns a tree without ranges into settings, structs that are declared with
//!    [`settings!`](crate::settings) and know their keys, defaults, bounds and documentation.
//!
//! There is one decoder, for files with their ranges filled in. A file with ranges is checked by
//! decoding it at the corners of its space, so a value that no setting accepts is found wherever the
//! range leads to it, and is reported at the range's own line.

mod decode;
mod node;
mod params;
mod path;
mod problem;
pub mod reference;
mod schema;
mod settings;
mod template;

pub use decode::{Bound, Decode, Documented, Each, Field, Fields, bounds, decode_kind, defaults, keyed_by};
pub use node::{Kind, Node};
pub use problem::{Problem, Problems, nearest};
pub use schema::{KindSchema, KindsSchema, Schema, TableSchema, default_text, kind_text};
pub use template::{Policy, Template};
