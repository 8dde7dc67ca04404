//! The decoders of what a node says of extrinsics as the fuzz targets call them; built with `--cfg fuzzing` only.

use relayer_core::error::TxFailure;
use relayer_core::id::TxHash;
use serde_json::value::RawValue;

use super::submit;
use crate::rpc::Answer;
use crate::substrate::fuzz::node;

/// `author_submitExtrinsic`.
pub fn accepted(hash: TxHash, text: &str) -> Option<Result<(), TxFailure>> {
    let endpoint = node()?.rpc().endpoints().into_iter().next()?;
    let answer = Answer { result: RawValue::from_string(text.to_owned()).ok()?, endpoint };
    Some(submit::accepted(node()?, hash, Ok(answer)))
}
