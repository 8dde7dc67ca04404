//! The IBC messages within an extrinsic.
//!
//! `Ibc::deliver(messages)` of a signed extrinsic (version 4) or a general one (version 5). What stands before the call is passed over
//! by its types ([`super::skip`]). Calls within calls are not looked into. Bounds: [`super::limits`].

use ibc_proto::google::protobuf::Any;
use parity_scale_codec::{Compact, Decode};
use scale_info::Variant;
use scale_info::form::PortableForm;
use subxt::ext::frame_decode::extrinsics::ExtrinsicTypeInfo;
use subxt::metadata::{Metadata, PalletMetadata};

use super::limits::EXTRINSIC_BYTES;
use super::runtime::IBC;
use super::skip;

/// The call that takes IBC messages.
pub(crate) const DELIVER: &str = "deliver";

const SIGNED_4: u8 = 0x84;
const GENERAL_5: u8 = 0x45;

/// The messages of an extrinsic in SCALE, if it delivers any.
pub(crate) fn messages(metadata: &Metadata, extrinsic: &[u8]) -> Option<Vec<Any>> {
    let (pallet, call, mut arguments) = call(metadata, extrinsic)?;
    if pallet.name() != IBC || call.name != DELIVER {
        return None;
    }
    let messages = Vec::<(Vec<u8>, Vec<u8>)>::decode(&mut arguments).ok()?;
    messages.into_iter().map(|(kind, value)| Some(Any { type_url: String::from_utf8(kind).ok()?, value })).collect()
}

/// The call of an extrinsic that somebody signed, and its arguments in SCALE.
pub(crate) fn call<'m, 'e>(
    metadata: &'m Metadata,
    extrinsic: &'e [u8],
) -> Option<(PalletMetadata<'m>, &'m Variant<PortableForm>, &'e [u8])> {
    if extrinsic.len() > EXTRINSIC_BYTES {
        return None;
    }
    let input = &mut { extrinsic };
    Compact::<u32>::decode(input).ok()?;
    let types = metadata.types();
    let extensions = match u8::decode(input).ok()? {
        SIGNED_4 => {
            let signed = metadata.extrinsic_signature_info().ok()?;
            skip::value(types, signed.address_id, input)?;
            skip::value(types, signed.signature_id, input)?;
            metadata.extrinsic_extension_info(None).ok()?
        }
        GENERAL_5 => {
            let version = u8::decode(input).ok()?;
            metadata.extrinsic_extension_info(Some(version)).ok()?
        }
        _ => return None,
    };
    extensions.extension_ids.iter().try_for_each(|extension| skip::value(types, extension.id, input))?;
    let (pallet, call) = (u8::decode(input).ok()?, u8::decode(input).ok()?);
    let pallet = metadata.pallet_by_call_index(pallet)?;
    let call = pallet.call_variant_by_index(call)?;
    Some((pallet, call, input))
}
