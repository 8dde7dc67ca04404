//! XCM messages in a block's calls and events, for logs and metrics.
//!
//! They are found by their types' names in the runtime's metadata: `VersionedXcm`, or the `Xcm` of a version's module. Calls within calls
//! (`Utility.batch`, `Sudo.sudo`) are found with those around them; calls as bytes (`Transact`, scheduled ones) are not. Only blocks that
//! are read for their packets are looked at, and a runtime that has no such type costs nothing. Bounds: [`relayer_core::limits::XCM_PER_BLOCK`],
//! those of [`super::skip`] and of [`relayer_xcm::limits`].

use std::collections::BTreeMap;

use relayer_core::error::Detail;
use relayer_core::fact::{XcmMet, XcmPlace};
use relayer_xcm::VersionedXcm;
use scale_info::form::PortableForm;
use scale_info::{Field, PortableRegistry};
use subxt::metadata::Metadata;

use super::{extrinsic, skip};

/// The types of a runtime that hold XCM messages.
#[derive(Debug, Default)]
pub(crate) struct XcmTypes {
    /// By id: the version, where the value does not begin with it.
    types: BTreeMap<u32, Option<u8>>,
}

impl XcmTypes {
    pub(crate) fn of(types: &PortableRegistry) -> Self {
        let types = types.types.iter().filter_map(|ty| Some((ty.id, version(&ty.ty.path.segments)?)));
        Self { types: types.collect() }
    }

    /// Whether a runtime has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Passes over the fields of an event or a call; the messages in them.
    pub(crate) fn within(
        &self,
        types: &PortableRegistry,
        fields: &[Field<PortableForm>],
        input: &mut &[u8],
    ) -> Option<Vec<Result<VersionedXcm, relayer_xcm::Error>>> {
        let wanted = |id| self.types.contains_key(&id);
        let found = skip::finding(types, fields, input, &wanted)?;
        Some(found.into_iter().map(|(id, bytes)| self.decode(id, bytes)).collect())
    }

    fn decode(&self, id: u32, bytes: &[u8]) -> Result<VersionedXcm, relayer_xcm::Error> {
        match self.types.get(&id).copied().flatten() {
            Some(version) => VersionedXcm::decode(&[&[version], bytes].concat()),
            None => VersionedXcm::decode(bytes),
        }
    }
}

/// For a type of this path: the version that its values are of, or `None` within if they begin with it.
fn version(path: &[String]) -> Option<Option<u8>> {
    let (name, above) = path.split_last()?;
    match name.as_str() {
        "VersionedXcm" => Some(None),
        "Xcm" => {
            let versions = [("v3", 3), ("v4", 4), ("v5", 5)];
            let of = |module: &String| versions.iter().find(|(name, _)| name == module).map(|(_, version)| *version);
            above.iter().rev().find_map(of).map(Some)
        }
        _ => None,
    }
}

/// The messages in the calls of these extrinsics.
pub(crate) fn of_calls(metadata: &Metadata, xcm: &XcmTypes, extrinsics: &[Vec<u8>], most: usize) -> Vec<XcmMet> {
    let mut met = Vec::new();
    if xcm.is_empty() {
        return met;
    }
    for (index, bytes) in (0_u32..).zip(extrinsics) {
        let Some((pallet, call, mut arguments)) = extrinsic::call(metadata, bytes) else { continue };
        let Some(found) = xcm.within(metadata.types(), &call.fields, &mut arguments) else { continue };
        let name = Detail::new(format!("{}.{}", pallet.name(), call.name));
        let of = |found| XcmMet { place: XcmPlace::Transaction, transaction: Some(index), name: name.clone(), found };
        met.extend(found.into_iter().map(of).take(most.saturating_sub(met.len())));
    }
    met
}

#[cfg(test)]
mod tests {
    use parity_scale_codec::Encode;
    use scale_info::{MetaType, Registry, TypeInfo};

    use super::*;

    /// Programs whose types have the names of the official ones.
    mod made {
        pub(super) mod v5 {
            #[derive(parity_scale_codec::Encode, scale_info::TypeInfo)]
            pub(in super::super) struct Xcm(pub(in super::super) Vec<super::Instruction>);
        }
        #[derive(parity_scale_codec::Encode, scale_info::TypeInfo)]
        pub(super) enum Instruction {
            #[codec(index = 10)]
            ClearOrigin,
            #[codec(index = 22)]
            SetAppendix(v5::Xcm),
            #[codec(index = 200)]
            Unheard,
        }
        #[derive(parity_scale_codec::Encode, scale_info::TypeInfo)]
        pub(super) enum VersionedXcm {
            #[codec(index = 5)]
            V5(v5::Xcm),
        }
    }
    use made::{Instruction, VersionedXcm as Made, v5};

    #[derive(Encode, TypeInfo)]
    enum Call {
        Send { dest: u32, message: Made },
        Batch(Vec<Call>),
    }

    #[derive(Encode, TypeInfo)]
    struct Fields {
        before: u8,
        call: Call,
        plain: v5::Xcm,
    }

    fn found(value: &Fields) -> Option<Vec<String>> {
        let mut registry = Registry::new();
        let id = registry.register_type(&MetaType::new::<Fields>()).id;
        let types: PortableRegistry = registry.into();
        let xcm = XcmTypes::of(&types);
        let scale_info::TypeDef::Composite(of) = &types.resolve(id).unwrap().type_def else { panic!() };
        let bytes = value.encode();
        let input = &mut bytes.as_slice();
        let found = xcm.within(&types, &of.fields, input)?;
        assert!(input.is_empty());
        Some(found.into_iter().map(|found| found.map_or_else(|e| e.to_string(), |xcm| xcm.summary())).collect())
    }

    #[test]
    fn messages_are_found_in_calls_within_calls_and_each_program_once() {
        let message = |inner| Made::V5(v5::Xcm(vec![Instruction::SetAppendix(v5::Xcm(vec![inner]))]));
        let send = |inner| Call::Send { dest: 7, message: message(inner) };
        let batch = Call::Batch(vec![send(Instruction::ClearOrigin), Call::Batch(vec![send(Instruction::Unheard)])]);
        let value = Fields { before: 1, call: batch, plain: v5::Xcm(vec![Instruction::ClearOrigin]) };
        let found = found(&value).unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!((found[0].as_str(), found[2].as_str()), ("v5 2 [SetAppendix [ClearOrigin]]", "v5 1 [ClearOrigin]"));
        assert!(found[1].contains("200"), "{found:?}");
    }

    #[test]
    fn a_type_is_known_by_its_name_and_the_module_of_its_version() {
        let of = |path: &str| version(&path.split("::").map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("xcm::VersionedXcm"), Some(None));
        assert_eq!([of("staging_xcm::v4::Xcm"), of("staging_xcm::v5::Xcm")], [Some(Some(4)), Some(Some(5))]);
        assert_eq!([of("xcm::v2::Xcm"), of("pallet_xcm::pallet::Call"), of("")], [None, None, None]);
    }
}
