//! Events of one block to what its extrinsics did: IBC facts, messages that failed, what they cost.
//!
//! `System::Events` is a list without lengths: an event that is not ours is passed over by its type ([`super::skip`]). Ours are read
//! in their fixed shape: `Ibc::Emitted { index, kind, attributes }` with the names of ibc-go's events, `Ibc::Delivered { index, result }`
//! for each message of an extrinsic, `System::ExtrinsicSuccess` and `ExtrinsicFailed`. Order is the block's. Bounds: [`super::limits`].

use std::collections::BTreeMap;

use parity_scale_codec::{Compact, Decode};
use relayer_core::error::{Detail, TxFailure};
use relayer_core::fact::{XcmMet, XcmPlace};
use relayer_core::limits::XCM_PER_BLOCK;
use scale_info::{PortableRegistry, TypeDef};
use subxt::metadata::Metadata;

use super::limits::{ATTRIBUTES, EVENTS, EVENTS_BYTES};
use super::runtime::IBC;
use super::skip;
use super::xcm::XcmTypes;
use crate::ibc::event::{Attributes, Value, reason};

/// An event of an IBC module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Emitted {
    /// The extrinsic, if it is of one.
    pub(crate) extrinsic: Option<u32>,
    pub(crate) kind: String,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Emitted {
    /// Its attributes as facts are read from.
    pub(crate) fn attributes(&self) -> Result<Attributes<'_>, &'static str> {
        let mut values = Vec::new();
        for (key, value) in &self.attributes {
            let key = std::str::from_utf8(key).map_err(|_| reason::ATTRIBUTES)?;
            values.push((key, Value::Bytes(value.clone())));
        }
        Ok(Attributes::new(values))
    }
}

/// What became of an extrinsic.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Applied {
    /// The first message that failed and the positions of the others, or why all of it did.
    pub(crate) failure: Option<TxFailure>,
    /// Reference time used, picoseconds.
    pub(crate) ref_time: u64,
}

impl Applied {
    /// One message's failure: the first one says why, of further ones the positions are kept.
    fn add(&mut self, failed: Option<(TxFailure, bool)>) {
        match (&mut self.failure, failed) {
            (Some(TxFailure::Message { others, .. }), Some((TxFailure::Message { index: Some(index), .. }, true))) => {
                others.push(index);
            }
            (first @ None, Some((failure, _))) => *first = Some(failure),
            _ => {}
        }
    }
}

/// What a block's events say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) emitted: Vec<Emitted>,
    /// By the extrinsic's place in the block.
    pub(crate) applied: BTreeMap<u32, Applied>,
    /// XCM messages.
    pub(crate) xcm: Vec<XcmMet>,
}

/// Whether they are more than are read. Those beyond would be missed in silence: an extrinsic of ours that failed there would count as done.
pub(crate) fn are_too_many(bytes: &[u8]) -> bool {
    bytes.len() > EVENTS_BYTES || Compact::<u32>::decode(&mut { bytes }).is_ok_and(|Compact(count)| count > EVENTS)
}

/// Reads the events; `None` if they are not of these types, or too many.
pub(crate) fn read(metadata: &Metadata, xcm: &XcmTypes, bytes: &[u8]) -> Option<Told> {
    let mut told = Told::default();
    if bytes.is_empty() {
        return Some(told);
    }
    if are_too_many(bytes) {
        return None;
    }
    let input = &mut { bytes };
    let Compact(count) = Compact::<u32>::decode(input).ok()?;
    for _ in 0..count {
        one(metadata, xcm, input, &mut told)?;
    }
    Some(told)
}

/// `EventRecord { phase, event, topics }`.
fn one(metadata: &Metadata, xcm: &XcmTypes, input: &mut &[u8], told: &mut Told) -> Option<()> {
    let extrinsic = match u8::decode(input).ok()? {
        0 => Some(u32::decode(input).ok()?),
        1 | 2 => None,
        _ => return None,
    };
    let (pallet, variant) = (u8::decode(input).ok()?, u8::decode(input).ok()?);
    let pallet = metadata.pallet_by_event_index(pallet)?;
    let variant = pallet.event_variant_by_index(variant)?;
    let start = *input;
    if xcm.is_empty() || told.xcm.len() >= XCM_PER_BLOCK {
        skip::fields(metadata.types(), &variant.fields, input)?;
    } else {
        let name = || Detail::new(format!("{}.{}", pallet.name(), variant.name));
        let met = |found| XcmMet { place: XcmPlace::Event, transaction: extrinsic, name: name(), found };
        told.xcm.extend(xcm.within(metadata.types(), &variant.fields, input)?.into_iter().map(met));
    }
    let fields = start.get(..start.len().checked_sub(input.len())?)?;
    let type_of = |index: usize| variant.fields.get(index).map(|field| field.ty.id);
    match (pallet.name(), variant.name.as_str(), extrinsic) {
        (IBC, "Emitted", _) => {
            let rest = &mut { fields };
            u32::decode(rest).ok()?;
            let kind = String::from_utf8(Vec::decode(rest).ok()?).ok()?;
            let Compact(count) = Compact::<u32>::decode(rest).ok()?;
            // An empty one takes two bytes here, and twenty times that as a value: what is beyond the limit is not decoded.
            let count = count.min(u32::try_from(ATTRIBUTES).unwrap_or(u32::MAX));
            let attributes: Option<Vec<_>> = (0..count).map(|_| <(Vec<u8>, Vec<u8>)>::decode(rest).ok()).collect();
            told.emitted.push(Emitted { extrinsic, kind, attributes: attributes? });
        }
        (IBC, "Delivered", Some(extrinsic)) => {
            let failed = delivered(metadata.types(), type_of(1)?, fields)?;
            told.applied.entry(extrinsic).or_default().add(failed);
        }
        ("System", "ExtrinsicSuccess", Some(extrinsic)) => {
            let Compact(ref_time) = Compact::<u64>::decode(&mut { fields }).ok()?;
            told.applied.entry(extrinsic).or_default().ref_time = ref_time;
        }
        ("System", "ExtrinsicFailed", Some(extrinsic)) => {
            let rest = &mut { fields };
            skip::value(metadata.types(), type_of(0)?, rest)?;
            let Compact(ref_time) = Compact::<u64>::decode(rest).ok()?;
            let failure = Some(dispatch(metadata, fields));
            told.applied.insert(extrinsic, Applied { failure, ref_time });
        }
        _ => {}
    }
    // Topics: a list of hashes.
    let Compact(topics) = Compact::<u32>::decode(input).ok()?;
    *input = input.get(usize::try_from(topics).ok()?.checked_mul(32)?..)?;
    Some(())
}

/// The kind of a message that was not tried, since a client update before it had failed.
const SKIPPED: &str = "Skipped";

/// `Delivered { index: u32, result: Result<(), DeliverError { kind, text }> }`; the kinds are named by the runtime. A failure, and whether the
/// message was tried.
fn delivered(types: &PortableRegistry, result: u32, fields: &[u8]) -> Option<Option<(TxFailure, bool)>> {
    let input = &mut { fields };
    let index = u32::decode(input).ok()?;
    match u8::decode(input).ok()? {
        0 => return Some(None),
        1 => {}
        _ => return None,
    }
    let code = u8::decode(input).ok()?;
    let text = Vec::<u8>::decode(input).ok()?;
    let kind = kind(types, result, code).unwrap_or("failed");
    Some(Some((failure(index, code, kind, &String::from_utf8_lossy(&text)), kind != SKIPPED)))
}

/// The name of an error's kind in `Result<(), DeliverError>`.
fn kind(types: &PortableRegistry, result: u32, code: u8) -> Option<&str> {
    let TypeDef::Variant(result) = &types.resolve(result)?.type_def else { return None };
    let error = result.variants.iter().find(|variant| variant.index == 1)?.fields.first()?.ty.id;
    let TypeDef::Composite(error) = &types.resolve(error)?.type_def else { return None };
    let TypeDef::Variant(kinds) = &types.resolve(error.fields.first()?.ty.id)?.type_def else { return None };
    kinds.variants.iter().find(|variant| variant.index == code).map(|variant| variant.name.as_str())
}

fn failure(index: u32, code: u8, kind: &str, text: &str) -> TxFailure {
    TxFailure::Message {
        index: usize::try_from(index).ok(),
        others: Vec::new(),
        code: code.into(),
        codespace: Detail::new("ibc"),
        detail: Detail::new(format!("{kind}: {text}")),
    }
}

/// `DispatchError`: a module's own one by name, others by their place.
fn dispatch(metadata: &Metadata, bytes: &[u8]) -> TxFailure {
    const NAMES: [&str; 15] = [
        "Other",
        "CannotLookup",
        "BadOrigin",
        "Module",
        "ConsumerRemaining",
        "NoProviders",
        "TooManyConsumers",
        "Token",
        "Arithmetic",
        "Transactional",
        "Exhausted",
        "Corruption",
        "Unavailable",
        "RootNotAllowed",
        "Trie",
    ];
    let code = bytes.first().copied().unwrap_or(u8::MAX);
    let module = (code == 3).then(|| {
        let (module, error) = (*bytes.get(1)?, *bytes.get(2)?);
        let pallet = metadata.pallet_by_error_index(module)?;
        let variant = pallet.error_variant_by_index(error)?;
        Some((pallet.name(), variant.name.as_str(), error))
    });
    let (codespace, detail, code) = match module.flatten() {
        Some((module, error, code)) => (module, error, code),
        None => ("dispatch", NAMES.get(usize::from(code)).copied().unwrap_or("unknown"), code),
    };
    TxFailure::Message {
        index: None,
        others: Vec::new(),
        code: code.into(),
        codespace: Detail::new(codespace),
        detail: Detail::new(detail),
    }
}
