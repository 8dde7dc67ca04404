//! Light clients: time, trust and bytes in, a verdict out. no_std, no I/O.
