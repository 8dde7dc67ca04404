//! CometBFT chains that run ibc-go.
