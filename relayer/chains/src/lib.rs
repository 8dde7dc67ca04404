//! Chain adapters and the one RPC stack through which every call to a node goes.
