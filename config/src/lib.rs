//! Configuration of the relayer: TOML text in, validated settings out.
