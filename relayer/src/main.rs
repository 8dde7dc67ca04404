//! `relayer`: the command line.
fn main() {}
