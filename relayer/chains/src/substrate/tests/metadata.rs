//! A runtime's metadata made up: the modules that the adapter reads, and one whose events it passes over.
#![expect(dead_code, reason = "most of these types are only named in the metadata")]

use frame_metadata::v15::{
    CustomMetadata, ExtrinsicMetadata, OuterEnums, PalletCallMetadata, PalletErrorMetadata, PalletEventMetadata,
    PalletMetadata, PalletStorageMetadata, RuntimeMetadataV15, SignedExtensionMetadata, StorageEntryMetadata,
    StorageEntryModifier, StorageEntryType, StorageHasher,
};
use frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed};
use parity_scale_codec::{Compact, Decode, Encode};
use scale_info::build::{Fields, Variants};
use scale_info::{MetaType, Path, Type, TypeInfo};

#[derive(Clone, Encode, Decode, TypeInfo)]
pub(super) struct Weight {
    #[codec(compact)]
    pub(super) ref_time: u64,
    #[codec(compact)]
    pub(super) proof_size: u64,
}
#[derive(Clone, Encode, Decode, TypeInfo)]
pub(super) struct DispatchInfo {
    pub(super) weight: Weight,
    pub(super) class: u8,
    pub(super) pays_fee: u8,
}
#[derive(Clone, Encode, Decode, TypeInfo)]
pub(super) struct ModuleError {
    pub(super) index: u8,
    pub(super) error: [u8; 4],
}
#[derive(Clone, Encode, Decode, TypeInfo)]
pub(super) enum DispatchError {
    #[codec(index = 2)]
    BadOrigin,
    #[codec(index = 3)]
    Module(ModuleError),
}
#[derive(Clone, Encode, Decode, TypeInfo)]
pub(super) enum SystemEvent {
    ExtrinsicSuccess { dispatch_info: DispatchInfo },
    ExtrinsicFailed { dispatch_error: DispatchError, dispatch_info: DispatchInfo },
}
#[derive(Clone, Encode, Decode, TypeInfo)]
pub(super) enum OtherEvent {
    #[codec(index = 5)]
    Noise { list: Vec<(u32, Option<String>)>, nested: Option<Box<OtherEvent>> },
}
#[derive(Clone, Encode, Decode, TypeInfo)]
pub(super) enum Kind {
    Decoding,
    Handler,
    Skipped,
}
#[derive(Clone, Encode, Decode, TypeInfo)]
pub(super) struct DeliverError {
    pub(super) kind: Kind,
    pub(super) text: Vec<u8>,
}
#[derive(Clone, Encode, Decode, TypeInfo)]
pub(super) enum IbcEvent {
    Emitted { index: u32, kind: Vec<u8>, attributes: Vec<(Vec<u8>, Vec<u8>)> },
    Delivered { index: u32, result: Result<(), DeliverError> },
}
#[derive(Clone, Encode, Decode, TypeInfo)]
pub(super) enum RuntimeEvent {
    #[codec(index = 0)]
    System(SystemEvent),
    #[codec(index = 4)]
    Other(OtherEvent),
    #[codec(index = 7)]
    Ibc(IbcEvent),
}
#[derive(TypeInfo)]
struct Message {
    type_url: Vec<u8>,
    value: Vec<u8>,
}
#[derive(TypeInfo)]
enum IbcCall {
    #[expect(non_camel_case_types, reason = "calls are named as functions")]
    deliver { messages: Vec<Message> },
}
#[derive(TypeInfo)]
enum RuntimeCall {
    #[codec(index = 7)]
    Ibc(IbcCall),
}
#[derive(TypeInfo)]
enum IbcError {
    Decode,
    Handler,
}
#[derive(TypeInfo)]
enum RuntimeError {
    #[codec(index = 7)]
    Ibc(IbcError),
}
#[derive(TypeInfo)]
enum MultiAddress {
    Id([u8; 32]),
}
#[derive(TypeInfo)]
enum MultiSignature {
    #[codec(index = 1)]
    Sr25519([u8; 64]),
}
/// A mortal era is two bytes: its type has a variant for each first one.
struct Era;
impl TypeInfo for Era {
    type Identity = Self;
    fn type_info() -> Type {
        let variants = (1..=255).fold(Variants::new().variant("Immortal", |v| v.index(0)), |variants, first| {
            variants.variant("Mortal", |v| v.index(first).fields(Fields::unnamed().field(|f| f.ty::<u8>())))
        });
        Type::builder().path(Path::new("Era", "sp_runtime::generic::era")).variant(variants)
    }
}
#[derive(TypeInfo)]
struct TheRuntime;

fn extension<A: TypeInfo + 'static, B: TypeInfo + 'static>(identifier: &'static str) -> SignedExtensionMetadata {
    let (ty, additional_signed) = (MetaType::new::<A>(), MetaType::new::<B>());
    SignedExtensionMetadata { identifier, ty, additional_signed }
}

fn pallet(name: &'static str, index: u8, event: MetaType) -> PalletMetadata {
    let event = Some(PalletEventMetadata { ty: event });
    let (storage, calls, constants, error, docs) = (None, None, Vec::new(), None, Vec::new());
    PalletMetadata { name, storage, calls, event, constants, error, index, docs }
}

#[derive(TypeInfo)]
enum PacketEvent {
    Sent,
    AckWritten,
}

fn packet_blocks() -> PalletStorageMetadata {
    let ty = StorageEntryType::Map {
        hashers: vec![StorageHasher::Blake2_128Concat],
        key: MetaType::new::<(Vec<u8>, Vec<u8>, PacketEvent, u64)>(),
        value: MetaType::new::<u32>(),
    };
    let entry = StorageEntryMetadata {
        name: "PacketBlocks",
        modifier: StorageEntryModifier::Optional,
        ty,
        default: vec![0],
        docs: Vec::new(),
    };
    PalletStorageMetadata { prefix: "Ibc", entries: vec![entry] }
}

#[derive(TypeInfo)]
enum OtherCall {
    #[expect(non_camel_case_types, reason = "calls are named as functions")]
    deliver { messages: [Message; 2] },
}

/// The metadata in SCALE.
pub(super) fn metadata() -> Vec<u8> {
    metadata_of::<IbcCall>()
}

/// The same, but that the arguments of `deliver` are said to be of another shape.
pub(super) fn misshapen() -> Vec<u8> {
    metadata_of::<OtherCall>()
}

fn metadata_of<Calls: TypeInfo + 'static>() -> Vec<u8> {
    let ibc = PalletMetadata {
        calls: Some(PalletCallMetadata { ty: MetaType::new::<Calls>() }),
        error: Some(PalletErrorMetadata { ty: MetaType::new::<IbcError>() }),
        storage: Some(packet_blocks()),
        ..pallet("Ibc", 7, MetaType::new::<IbcEvent>())
    };
    let extrinsic = ExtrinsicMetadata {
        version: 4,
        address_ty: MetaType::new::<MultiAddress>(),
        call_ty: MetaType::new::<RuntimeCall>(),
        signature_ty: MetaType::new::<MultiSignature>(),
        extra_ty: MetaType::new::<()>(),
        signed_extensions: vec![
            extension::<(), u32>("CheckSpecVersion"),
            extension::<(), u32>("CheckTxVersion"),
            extension::<(), [u8; 32]>("CheckGenesis"),
            extension::<Era, [u8; 32]>("CheckMortality"),
            extension::<Compact<u32>, ()>("CheckNonce"),
            extension::<Compact<u128>, ()>("ChargeTransactionPayment"),
        ],
    };
    let outer = OuterEnums {
        call_enum_ty: MetaType::new::<RuntimeCall>(),
        event_enum_ty: MetaType::new::<RuntimeEvent>(),
        error_enum_ty: MetaType::new::<RuntimeError>(),
    };
    let system = pallet("System", 0, MetaType::new::<SystemEvent>());
    let other = pallet("Other", 4, MetaType::new::<OtherEvent>());
    let metadata = RuntimeMetadataV15::new(
        vec![system, other, ibc],
        extrinsic,
        MetaType::new::<TheRuntime>(),
        Vec::new(),
        outer,
        CustomMetadata { map: Default::default() },
    );
    RuntimeMetadataPrefixed(frame_metadata::META_RESERVED, RuntimeMetadata::V15(metadata)).encode()
}

/// An event of the n-th extrinsic, as `System::Events` holds it.
pub(super) fn record(extrinsic: u32, event: RuntimeEvent) -> Vec<u8> {
    [vec![0], extrinsic.encode(), event.encode(), vec![0]].concat()
}

pub(super) fn events(records: &[Vec<u8>]) -> Vec<u8> {
    [Compact(u32::try_from(records.len()).unwrap()).encode(), records.concat()].concat()
}

pub(super) fn info(ref_time: u64) -> DispatchInfo {
    DispatchInfo { weight: Weight { ref_time, proof_size: 0 }, class: 0, pays_fee: 0 }
}

pub(super) fn emitted(kind: &str, attributes: &[(&str, &str)]) -> RuntimeEvent {
    let attributes =
        attributes.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    RuntimeEvent::Ibc(IbcEvent::Emitted { index: 0, kind: kind.as_bytes().to_vec(), attributes })
}
