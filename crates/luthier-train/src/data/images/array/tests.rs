//! Tests of reading NumPy arrays.
