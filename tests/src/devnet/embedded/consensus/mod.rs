//! Validators and the blocks they sign.
