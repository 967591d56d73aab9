//! Tests of augmentation.
