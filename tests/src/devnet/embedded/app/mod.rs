//! Accounts, coins, transactions and IBC.
