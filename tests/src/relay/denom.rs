//! ICS-20 names: the denomination of a voucher, the account that holds what went over a channel.

use sha2::{Digest, Sha256};

use crate::DevnetError;
use crate::devnet::ACCOUNT_PREFIX;

/// The denomination of coins that came in over `transfer/<channel>`: `ibc/<hash>` (ICS-20 v1).
#[must_use]
pub fn voucher(channel: &str, denom: &str) -> String {
    format!("ibc/{}", hex::encode_upper(Sha256::digest(format!("transfer/{channel}/{denom}"))))
}

/// The account that holds the chain's own coins sent over `transfer/<channel>` (ADR 028 module address).
///
/// # Errors
/// [`DevnetError::Wallet`] if it can't be written.
pub fn escrow_address(channel: &str) -> Result<String, DevnetError> {
    let hash = Sha256::digest(format!("ics20-1\0transfer/{channel}"));
    let wrong = |reason: String| DevnetError::Wallet { name: format!("escrow of {channel}"), reason };
    let prefix = bech32::Hrp::parse(ACCOUNT_PREFIX).map_err(|e| wrong(e.to_string()))?;
    bech32::encode::<bech32::Bech32>(prefix, &hash[..20]).map_err(|e| wrong(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_cosmos_hub() {
        // ATOM on Osmosis, and the Hub's escrow account of its channel to Osmosis.
        let atom = "ibc/27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2";
        assert_eq!(voucher("channel-0", "uatom"), atom);
        assert_eq!(escrow_address("channel-141").unwrap(), "cosmos1x54ltnyg88k0ejmk8ytwrhd3ltm84xehrnlslf");
    }
}
