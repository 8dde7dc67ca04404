//! Bounds of a handshake, each with its reason.

/// Largest encoded connection or channel end in bytes: ibc-go's are 100 to 300 bytes; an ICS-27 version is JSON text of up to some KiB.
pub const END_BYTES: usize = 16 * 1024;
/// Versions of a connection end: ibc-go offers one.
pub const VERSIONS: usize = 16;
/// Features of a connection version: ICS-03 has two.
pub const FEATURES: usize = 16;
/// Channels of one path: more than any hub pair has; they share one batch a step.
pub const CHANNELS: usize = 64;
