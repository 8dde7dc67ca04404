//! The IBC relayer: the effectful shell around relayer-core, and its command line.
