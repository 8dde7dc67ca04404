//! Keys, values and their proofs.
