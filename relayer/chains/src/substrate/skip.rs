//! Values of a runtime's types in SCALE, passed over without being decoded.
//!
//! Events and extrinsics follow each other without lengths, so one that is not ours is passed over by its type. The types are the
//! node's word, as the bytes are: nesting and the number of values are counted ([`super::limits`]), or types that hold themselves would
//! take the stack, and lists of nothing the time.

use parity_scale_codec::{Compact, Decode};
use scale_info::{Field, PortableRegistry, TypeDef, TypeDefPrimitive, form::PortableForm};

use super::limits::{VALUE_DEPTH, VALUES};

/// Passes over one value of this type; `None` if the bytes are none, or beyond the bounds.
pub(crate) fn value(types: &PortableRegistry, id: u32, input: &mut &[u8]) -> Option<()> {
    Skip { types, left: VALUES, wanted: None, found: Vec::new() }.value(id, input, VALUE_DEPTH)
}

/// Passes over values of these types.
pub(crate) fn fields(types: &PortableRegistry, fields: &[Field<PortableForm>], input: &mut &[u8]) -> Option<()> {
    Skip { types, left: VALUES, wanted: None, found: Vec::new() }.fields(fields, input, VALUE_DEPTH)
}

/// Whether a type is looked for, by its id.
pub(crate) type Wanted<'a> = &'a dyn Fn(u32) -> bool;

/// Passes over values of these types, and gives the bytes of those within that are of a type which is looked for, with its id. What is within
/// such a value is part of it.
pub(crate) fn finding<'b>(
    types: &PortableRegistry,
    fields: &[Field<PortableForm>],
    input: &mut &'b [u8],
    wanted: Wanted<'_>,
) -> Option<Vec<(u32, &'b [u8])>> {
    let mut skip = Skip { types, left: VALUES, wanted: Some(wanted), found: Vec::new() };
    skip.fields(fields, input, VALUE_DEPTH)?;
    Some(skip.found)
}

struct Skip<'a, 'b> {
    types: &'a PortableRegistry,
    left: u32,
    wanted: Option<Wanted<'a>>,
    found: Vec<(u32, &'b [u8])>,
}

impl<'b> Skip<'_, 'b> {
    fn fields(&mut self, fields: &[Field<PortableForm>], input: &mut &'b [u8], depth: u32) -> Option<()> {
        fields.iter().try_for_each(|field| self.value(field.ty.id, input, depth))
    }

    fn value(&mut self, id: u32, input: &mut &'b [u8], depth: u32) -> Option<()> {
        let Some(wanted) = self.wanted.take_if(|wanted| wanted(id)) else {
            return self.shape(id, input, depth);
        };
        let start = *input;
        self.shape(id, input, depth)?;
        self.wanted = Some(wanted);
        self.found.push((id, start.get(..start.len().checked_sub(input.len())?)?));
        Some(())
    }

    fn shape(&mut self, id: u32, input: &mut &'b [u8], depth: u32) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        match &self.types.resolve(id)?.type_def {
            TypeDef::Composite(composite) => self.fields(&composite.fields, input, depth),
            TypeDef::Tuple(tuple) => tuple.fields.iter().try_for_each(|field| self.value(field.id, input, depth)),
            TypeDef::Variant(variants) => {
                let index = u8::decode(input).ok()?;
                let variant = variants.variants.iter().find(|variant| variant.index == index)?;
                self.fields(&variant.fields, input, depth)
            }
            TypeDef::Sequence(list) => {
                let Compact(count) = Compact::<u32>::decode(input).ok()?;
                self.many(list.type_param.id, count, input, depth)
            }
            TypeDef::Array(array) => self.many(array.type_param.id, array.len, input, depth),
            TypeDef::Primitive(TypeDefPrimitive::Str) => {
                let Compact(count) = Compact::<u32>::decode(input).ok()?;
                take(input, usize::try_from(count).ok()?)
            }
            TypeDef::Primitive(primitive) => take(input, size(primitive)?),
            TypeDef::Compact(_) => Compact::<u128>::decode(input).ok().map(drop),
            TypeDef::BitSequence(bits) => {
                let TypeDef::Primitive(store) = &self.types.resolve(bits.bit_store_type.id)?.type_def else {
                    return None;
                };
                let Compact(count) = Compact::<u32>::decode(input).ok()?;
                let size = size(store)?;
                let stores = usize::try_from(count).ok()?.div_ceil(size.checked_mul(8)?);
                take(input, stores.checked_mul(size)?)
            }
        }
    }

    fn many(&mut self, id: u32, count: u32, input: &mut &'b [u8], depth: u32) -> Option<()> {
        if let TypeDef::Primitive(primitive) = &self.types.resolve(id)?.type_def
            && let Some(size) = size(primitive)
        {
            return take(input, usize::try_from(count).ok()?.checked_mul(size)?);
        }
        (0..count).try_for_each(|_| self.value(id, input, depth))
    }
}

/// Bytes of a primitive; texts have none of their own.
fn size(primitive: &TypeDefPrimitive) -> Option<usize> {
    use TypeDefPrimitive::*;
    Some(match primitive {
        Bool | U8 | I8 => 1,
        U16 | I16 => 2,
        Char | U32 | I32 => 4,
        U64 | I64 => 8,
        U128 | I128 => 16,
        U256 | I256 => 32,
        Str => return None,
    })
}

fn take(input: &mut &[u8], count: usize) -> Option<()> {
    *input = input.get(count..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use parity_scale_codec::Encode;
    use scale_info::{MetaType, Registry, TypeInfo};

    use super::*;

    #[derive(Encode, TypeInfo)]
    struct Everything {
        flag: bool,
        text: String,
        list: Vec<(u8, Option<u16>)>,
        bytes: Vec<u8>,
        array: [u64; 3],
        #[codec(compact)]
        number: u128,
        empty: (),
    }

    #[derive(TypeInfo)]
    #[expect(dead_code, reason = "only its type is of interest")]
    enum Nested {
        End,
        More(Box<Nested>),
    }

    fn types(of: MetaType) -> (PortableRegistry, u32) {
        let mut registry = Registry::new();
        let id = registry.register_type(&of).id;
        (registry.into(), id)
    }

    fn nested(depth: usize) -> Vec<u8> {
        [vec![1; depth], vec![0]].concat()
    }

    #[test]
    fn a_value_is_passed_over_to_its_very_end() {
        let (registry, id) = types(MetaType::new::<Everything>());
        let everything = Everything {
            flag: true,
            text: "text".into(),
            list: vec![(1, None), (2, Some(3))],
            bytes: vec![9; 300],
            array: [1, 2, 3],
            number: 1 << 100,
            empty: (),
        };
        let bytes = [everything.encode(), vec![0xaa]].concat();
        let mut input = bytes.as_slice();
        value(&registry, id, &mut input).unwrap();
        assert_eq!(input, [0xaa]);
        for end in 0..bytes.len() - 1 {
            assert_eq!(value(&registry, id, &mut &bytes[..end]), None, "{end}");
        }
    }

    #[test]
    fn attack_42_nesting_and_lists_of_nothing_end_at_the_bounds() {
        let (registry, id) = types(MetaType::new::<Nested>());
        let most = usize::try_from(VALUE_DEPTH).unwrap() / 2;
        assert!(value(&registry, id, &mut nested(most - 2).as_slice()).is_some());
        assert!(value(&registry, id, &mut nested(10_000_000).as_slice()).is_none());
        let (registry, id) = types(MetaType::new::<Vec<()>>());
        assert!(value(&registry, id, &mut Compact(1_000u32).encode().as_slice()).is_some());
        assert!(value(&registry, id, &mut Compact(u32::MAX).encode().as_slice()).is_none());
    }
}
