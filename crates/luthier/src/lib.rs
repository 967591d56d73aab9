//! Luthier.
