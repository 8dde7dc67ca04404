//! JSON-RPC and the event socket of one node, and what can go wrong with them.
