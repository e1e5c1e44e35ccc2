//! State as bytes, for the next process: each type of the server's state freezes itself and thaws.
//!
//! # The format
//! - A number is a LEB128 varint, as in WebAssembly (its specification, section 5.2.2); a byte stands as it
//!   is; a text, a list or a map begins with the number of its items.
//! - A struct is its length (four bytes, little-endian) and its fields in order. Fields are only ever
//!   appended: one that is missing, because an earlier version wrote the bytes, becomes [`Frost::absent`];
//!   one that a later version has appended is skipped.
//! - An enum is a struct whose first field is the number of its variant. Numbers are never used twice.
//!
//! Nothing is thawed by trust: any bytes give a value or `None`, never a panic, and no more memory is
//! allocated than the bytes can fill. The macro [`frost`] names the fields of a type, and the compiler checks
//! that none is forgotten.
//!
//! It is written here because libraries for this read either what exactly the same version wrote (postcard,
//! bincode, borsh) or cost far more bytes in the binary (JSON, CBOR, protocol buffers with generated types).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// A type whose values outlive the process.
pub(crate) trait Frost: Sized {
    /// Appends the value.
    fn freeze(&self, to: &mut Vec<u8>);

    /// Takes a value from the front. `None`: the bytes are none of this type.
    fn thaw(from: &mut Frozen<'_>) -> Option<Self>;

    /// The value of a field that the version which wrote the bytes did not have. `None`: there is none, so
    /// that nothing can be thawed.
    fn absent() -> Option<Self> {
        None
    }

    /// Appends all items of a list, without their number.
    fn freeze_items(items: &[Self], to: &mut Vec<u8>) {
        for item in items {
            item.freeze(to);
        }
    }

    /// Takes the items of a list.
    fn thaw_items(from: &mut Frozen<'_>, count: usize) -> Option<Vec<Self>> {
        // Every item takes a byte at least, so that a wrong count costs nothing.
        let mut items = Vec::with_capacity(count.min(from.0.len()).min(ITEMS_AT_ONCE));
        thaw_each(from, count, |item| items.push(item))?;
        Some(items)
    }
}

/// A type that has more than its state: settings, limits, data derived from the state. Its state is frozen,
/// and filled into a value that was made as at any start, so that a successor has limits and settings of its
/// own.
pub(crate) trait Refill {
    /// Appends the state.
    fn freeze_state(&self, to: &mut Vec<u8>);

    /// Takes the state from the front, in place of the own. `None`: the bytes are none of this type, and the
    /// value is of no use any more.
    fn refill(&mut self, from: &mut Frozen<'_>) -> Option<()>;
}

impl<T: Frost> Refill for T {
    fn freeze_state(&self, to: &mut Vec<u8>) {
        self.freeze(to);
    }

    fn refill(&mut self, from: &mut Frozen<'_>) -> Option<()> {
        *self = T::thaw(from)?;
        Some(())
    }
}

/// The bytes of a state, or of a value.
pub(crate) fn frozen(state: &impl Refill) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.freeze_state(&mut bytes);
    bytes
}

/// Frozen bytes that are not thawed yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frozen<'a>(&'a [u8]);

impl<'a> Frozen<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Takes so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes a struct: its fields.
    // Each type has some of these calls: their code, repeated at each, would be 8 KB of the binary.
    #[inline(never)]
    pub(crate) fn fields(&mut self) -> Option<Self> {
        let length = self.bytes(LENGTH_BYTES)?.try_into().ok()?;
        self.bytes(usize::try_from(u32::from_le_bytes(length)).ok()?).map(Self)
    }

    /// Takes the next field of a struct, which may be missing.
    pub(crate) fn field<T: Frost>(&mut self) -> Option<T> {
        if self.0.is_empty() { T::absent() } else { T::thaw(self) }
    }

    /// Takes the next field of a struct, which may be missing, in place of the own.
    pub(crate) fn refill(&mut self, field: &mut impl Refill) -> Option<()> {
        if self.0.is_empty() { Some(()) } else { field.refill(self) }
    }

    /// Takes a number.
    #[inline(never)]
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part.leading_zeros() < shift {
                return None;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Takes a text of at most so many bytes.
    pub(crate) fn text(&mut self, bytes_max: usize) -> Option<&'a str> {
        let count = self.count().filter(|&count| count <= bytes_max)?;
        str::from_utf8(self.bytes(count)?).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// What is not thawed yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether everything is thawed.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends a struct: its length, and the fields that `fields` appends.
pub(crate) fn freeze_fields(to: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.extend_from_slice(&[0; LENGTH_BYTES]);
    fields(to);
    // A longer one cannot be thawed: its length does not fit what follows.
    let length = u32::try_from(to.len() - start - LENGTH_BYTES).unwrap_or(u32::MAX);
    to[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Appends a number.
#[inline(never)]
pub(crate) fn freeze_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    to.push(low_byte(number));
}

const fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

/// Implements [`Frost`] for a struct or an enum by its fields, in the order in which they are written. Fields
/// are only ever appended, and numbers of variants never used twice. What stands behind `but` is not written:
/// it is derived (the expression may name the fields).
///
/// ```text
/// frost!(struct Point { x, y } but { cache: Cache::default() });
/// frost!(struct Meters(value));
/// frost!(enum Shape { 0 = Circle { radius }, 1 = Line(from, to), 2 = Nothing {} });
/// frost!([T: Frost] struct Pair<T> { first, second });
/// ```
macro_rules! frost {
    ($([$($bounds:tt)*])? struct $type:ident $(<$($parameter:ident),*>)? { $($field:ident),* $(,)? }
        $(but { $($derived:ident: $value:expr),* $(,)? })?) => {
        impl $(<$($bounds)*>)? $crate::base::frost::Frost for $type $(<$($parameter),*>)? {
            fn freeze(&self, to: &mut Vec<u8>) {
                let Self { $($field,)* $($($derived: _,)*)? } = self;
                $crate::base::frost::freeze_fields(to, |_to| {
                    $($crate::base::frost::Frost::freeze($field, _to);)*
                });
            }

            fn thaw(from: &mut $crate::base::frost::Frozen<'_>) -> Option<Self> {
                let mut _fields = from.fields()?;
                $(let $field = _fields.field()?;)*
                // Derived values first: they may read the fields, which move.
                Some(Self { $($($derived: $value,)*)? $($field,)* })
            }
        }
    };
    ($([$($bounds:tt)*])? struct $type:ident $(<$($parameter:ident),*>)? ($($field:ident),* $(,)?)) => {
        impl $(<$($bounds)*>)? $crate::base::frost::Frost for $type $(<$($parameter),*>)? {
            fn freeze(&self, to: &mut Vec<u8>) {
                let Self($($field,)*) = self;
                $crate::base::frost::freeze_fields(to, |to| {
                    $($crate::base::frost::Frost::freeze($field, to);)*
                });
            }

            fn thaw(from: &mut $crate::base::frost::Frozen<'_>) -> Option<Self> {
                let mut fields = from.fields()?;
                $(let $field = fields.field()?;)*
                Some(Self($($field,)*))
            }
        }
    };
    ($([$($bounds:tt)*])? enum $type:ident $(<$($parameter:ident),*>)? {
        $($number:literal = $variant:ident $(($($item:ident),*))? $({ $($field:ident),* })?),* $(,)?
    }) => {
        impl $(<$($bounds)*>)? $crate::base::frost::Frost for $type $(<$($parameter),*>)? {
            fn freeze(&self, to: &mut Vec<u8>) {
                $crate::base::frost::freeze_fields(to, |to| match self {
                    $(Self::$variant $(($($item),*))? $({ $($field),* })? => {
                        $crate::base::frost::freeze_number($number, to);
                        $($($crate::base::frost::Frost::freeze($item, to);)*)?
                        $($($crate::base::frost::Frost::freeze($field, to);)*)?
                    })*
                });
            }

            fn thaw(from: &mut $crate::base::frost::Frozen<'_>) -> Option<Self> {
                let mut fields = from.fields()?;
                match fields.number()? {
                    $($number => {
                        $($(let $item = fields.field()?;)*)?
                        $($(let $field = fields.field()?;)*)?
                        Some(Self::$variant $(($($item),*))? $({ $($field),* })?)
                    })*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use frost;

/// Implements [`Refill`] for a struct by the fields that are its state. What stands behind `but` stays as it
/// is: settings and limits, or data that the function behind `then`, if there is one, derives from the state.
/// A field that an earlier version did not write stays as at a start.
///
/// ```text
/// refill!(struct Names { users } but { by_name, reserved } then Self::index);
/// ```
macro_rules! refill {
    ($([$($bounds:tt)*])? struct $type:ident $(<$($parameter:ident),*>)? { $($field:ident),* $(,)? }
        $(but { $($kept:ident),* $(,)? })? $(then $derive:expr)?) => {
        impl $(<$($bounds)*>)? $crate::base::frost::Refill for $type $(<$($parameter),*>)? {
            fn freeze_state(&self, to: &mut Vec<u8>) {
                let Self { $($field,)* $($($kept: _,)*)? } = self;
                $crate::base::frost::freeze_fields(to, |to| {
                    $($crate::base::frost::Refill::freeze_state($field, to);)*
                });
            }

            fn refill(&mut self, from: &mut $crate::base::frost::Frozen<'_>) -> Option<()> {
                let mut fields = from.fields()?;
                $(fields.refill(&mut self.$field)?;)*
                $({
                    let derive: fn(&mut Self) -> Option<()> = $derive;
                    derive(self)?;
                })?
                Some(())
            }
        }
    };
}
pub(crate) use refill;

impl Frost for u8 {
    fn freeze(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        from.byte()
    }

    fn absent() -> Option<Self> {
        Some(0)
    }

    fn freeze_items(items: &[Self], to: &mut Vec<u8>) {
        to.extend_from_slice(items);
    }

    fn thaw_items(from: &mut Frozen<'_>, count: usize) -> Option<Vec<Self>> {
        from.bytes(count).map(<[u8]>::to_vec)
    }
}

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Frost for $type {
            fn freeze(&self, to: &mut Vec<u8>) {
                // At most 64 bits, on every machine that Rust knows.
                freeze_number(u64::try_from(*self).unwrap_or(u64::MAX), to);
            }

            fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
                Self::try_from(from.number()?).ok()
            }

            fn absent() -> Option<Self> {
                Some(0)
            }
        }
    )* };
}
numbers!(u16, u32, u64, usize);

impl Frost for i32 {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.cast_unsigned().freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        u32::thaw(from).map(u32::cast_signed)
    }

    fn absent() -> Option<Self> {
        Some(0)
    }
}

impl Frost for bool {
    fn freeze(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        match from.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn absent() -> Option<Self> {
        Some(false)
    }
}

impl<T: Frost> Frost for Option<T> {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.is_some().freeze(to);
        if let Some(value) = self {
            value.freeze(to);
        }
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        if bool::thaw(from)? { T::thaw(from).map(Some) } else { Some(None) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Frost> Frost for Box<T> {
    fn freeze(&self, to: &mut Vec<u8>) {
        (**self).freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        T::thaw(from).map(Self::new)
    }

    fn absent() -> Option<Self> {
        T::absent().map(Self::new)
    }
}

fn freeze_list<T: Frost>(items: &[T], to: &mut Vec<u8>) {
    items.len().freeze(to);
    T::freeze_items(items, to);
}

/// Takes so many items, each of which takes a byte at least.
fn thaw_each<T: Frost>(from: &mut Frozen<'_>, count: usize, mut take: impl FnMut(T)) -> Option<()> {
    for _ in 0..count {
        let before = from.0.len();
        take(T::thaw(from)?);
        if from.0.len() == before {
            return None;
        }
    }
    Some(())
}

fn thaw_list<T: Frost>(from: &mut Frozen<'_>) -> Option<Vec<T>> {
    let count = from.count()?;
    T::thaw_items(from, count)
}

macro_rules! lists {
    ($([$($bounds:tt)*] $type:ty),*) => { $(
        impl<$($bounds)*> Frost for $type {
            fn freeze(&self, to: &mut Vec<u8>) {
                freeze_list(self, to);
            }

            fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
                thaw_list(from).map(<Self as From<Vec<_>>>::from)
            }

            fn absent() -> Option<Self> {
                Some(Self::default())
            }
        }
    )* };
}
lists!([T: Frost] Vec<T>, [T: Frost] Box<[T]>, [] Cow<'static, [u8]>);

impl<T: Frost> Frost for VecDeque<T> {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.len().freeze(to);
        let (front, back) = self.as_slices();
        T::freeze_items(front, to);
        T::freeze_items(back, to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        thaw_list(from).map(Into::into)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Frost + Ord> Frost for BTreeSet<T> {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.len().freeze(to);
        for item in self {
            item.freeze(to);
        }
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let mut set = Self::new();
        let count = from.count()?;
        thaw_each(from, count, |item| {
            set.insert(item);
        })?;
        Some(set)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<K: Frost + Ord, V: Frost> Frost for BTreeMap<K, V> {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.len().freeze(to);
        for (key, value) in self {
            key.freeze(to);
            value.freeze(to);
        }
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let mut map = Self::new();
        let count = from.count()?;
        thaw_each(from, count, |(key, value)| {
            map.insert(key, value);
        })?;
        Some(map)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

macro_rules! texts {
    ($($type:ty),*) => { $(
        impl Frost for $type {
            fn freeze(&self, to: &mut Vec<u8>) {
                freeze_list(self.as_bytes(), to);
            }

            fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
                let count = from.count()?;
                str::from_utf8(from.bytes(count)?).ok().map(Into::into)
            }

            fn absent() -> Option<Self> {
                Some("".into())
            }
        }
    )* };
}
texts!(String, Box<str>, Rc<str>);

impl<const N: usize> Frost for [u8; N] {
    fn freeze(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        from.bytes(N)?.try_into().ok()
    }
}

impl<A: Frost, B: Frost> Frost for (A, B) {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.0.freeze(to);
        self.1.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        Some((A::thaw(from)?, B::thaw(from)?))
    }
}

impl<A: Frost, B: Frost, C: Frost> Frost for (A, B, C) {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.0.freeze(to);
        self.1.freeze(to);
        self.2.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        Some((A::thaw(from)?, B::thaw(from)?, C::thaw(from)?))
    }
}

impl<T: Frost> Frost for Range<T> {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.start.freeze(to);
        self.end.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        Some(T::thaw(from)?..T::thaw(from)?)
    }
}

impl Frost for Duration {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.as_secs().freeze(to);
        self.subsec_nanos().freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let (seconds, nanos) = (from.number()?, u32::thaw(from)?);
        (nanos < NANOS).then(|| Self::new(seconds, nanos))
    }

    fn absent() -> Option<Self> {
        Some(Self::ZERO)
    }
}

impl Frost for IpAddr {
    fn freeze(&self, to: &mut Vec<u8>) {
        match self {
            Self::V4(address) => freeze_list(&address.octets(), to),
            Self::V6(address) => freeze_list(&address.octets(), to),
        }
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        match from.count()? {
            4 => <[u8; 4]>::thaw(from).map(|octets| Ipv4Addr::from(octets).into()),
            16 => <[u8; 16]>::thaw(from).map(|octets| Ipv6Addr::from(octets).into()),
            _ => None,
        }
    }
}

/// Bytes of a struct's length.
const LENGTH_BYTES: usize = 4;
/// Items for which room is made before the first is thawed; more are added as they come.
const ITEMS_AT_ONCE: usize = 1_024;
const NANOS: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    #[derive(Debug, PartialEq, Clone)]
    struct Old {
        name: String,
        ages: Vec<u32>,
    }
    frost!(struct Old { name, ages });

    #[derive(Debug, PartialEq, Clone)]
    struct New {
        name: String,
        ages: Vec<u32>,
        size: Option<u64>,
        derived: usize,
    }
    frost!(struct New { name, ages, size } but { derived: 7 });

    #[derive(Debug, PartialEq)]
    struct Newtype<T>(T);
    frost!([T: Frost] struct Newtype<T>(value));

    #[derive(Debug, PartialEq)]
    struct Table {
        items: Vec<u32>,
        items_max: usize,
        sum: u32,
    }
    refill!(struct Table { items } but { items_max, sum } then Self::add_up);

    impl Table {
        fn add_up(&mut self) -> Option<()> {
            self.sum = self.items.iter().sum();
            (self.items.len() <= self.items_max).then_some(())
        }
    }

    #[derive(Debug, PartialEq)]
    enum Shape {
        Nothing,
        Line(u32, u32),
        Circle { radius: u64 },
    }
    frost!(enum Shape { 0 = Nothing, 3 = Line(from, to), 2 = Circle { radius } });

    fn comes_back<T: Frost + PartialEq + Debug>(value: T) {
        let bytes = frozen(&value);
        let mut from = Frozen::new(&bytes);
        assert_eq!(T::thaw(&mut from), Some(value));
        assert!(from.is_empty());
        for end in 0..bytes.len() {
            // Part of a list or of a number is none; that it does not panic is what counts.
            assert_eq!(T::thaw(&mut Frozen::new(&bytes[..end])), None, "of {end} bytes");
        }
    }

    #[test]
    fn values_come_back_and_parts_of_them_do_not() {
        comes_back(0_u8);
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            comes_back(number);
        }
        comes_back([i32::MIN, -1, 0, i32::MAX].to_vec());
        comes_back(true);
        comes_back(Some(5_u32));
        comes_back(None::<u32>);
        comes_back(vec![vec![1_u8, 2], vec![], vec![255]]);
        comes_back(VecDeque::from([1_u16, 65_535]));
        comes_back(BTreeMap::from([(1_u32, "one".to_owned()), (2, String::new())]));
        comes_back(BTreeSet::from(["a".to_owned(), "ü🦉".to_owned()]));
        comes_back(Duration::new(u64::MAX, 999_999_999));
        comes_back(IpAddr::from([127, 0, 0, 1]));
        comes_back(IpAddr::from([1_u16, 0, 0, 0, 0, 0, 0, 65_535]));
        comes_back((1_u8, Rc::<str>::from("x"), 3..9_usize));
        comes_back([7_u8; 32]);
        comes_back(Box::new(Newtype(Box::<[u32]>::from([1, 2, 3]))));
        comes_back(Shape::Nothing);
        comes_back(Shape::Line(1, 2));
        comes_back(Shape::Circle { radius: 9 });
    }

    #[test]
    fn an_earlier_version_is_completed_and_a_later_one_is_cut_short() {
        let old = Old { name: "Ada".to_owned(), ages: vec![36] };
        let bytes = frozen(&vec![old.clone(), old.clone()]);
        let new = New { name: "Ada".to_owned(), ages: vec![36], size: None, derived: 7 };
        assert_eq!(Vec::thaw(&mut Frozen::new(&bytes)), Some(vec![new.clone(), new.clone()]));
        let bytes = frozen(&vec![New { size: Some(4), derived: 0, ..new.clone() }, new]);
        assert_eq!(Vec::thaw(&mut Frozen::new(&bytes)), Some(vec![old.clone(), old]));
    }

    #[test]
    fn a_table_keeps_its_limits_and_derives_what_is_not_written() {
        let bytes = frozen(&Table { items: vec![1, 2, 3], items_max: 3, sum: 0 });
        let mut table = Table { items: vec![9], items_max: 5, sum: 9 };
        assert_eq!(table.refill(&mut Frozen::new(&bytes)), Some(()));
        assert_eq!(table, Table { items: vec![1, 2, 3], items_max: 5, sum: 6 });
        table.items_max = 2;
        assert_eq!(table.refill(&mut Frozen::new(&bytes)), None, "too many");
        let mut table = Table { items: vec![9], items_max: 5, sum: 0 };
        assert_eq!(table.refill(&mut Frozen::new(&[0; 4])), Some(()), "of a version without the field");
        assert_eq!(table, Table { items: vec![9], items_max: 5, sum: 9 });
    }

    #[test]
    fn what_no_version_wrote_is_refused() {
        let rows: [(&str, &[u8]); 6] = [
            ("a number without an end", &[0xff; 11]),
            ("a number of more than 64 bits", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            ("more items than bytes", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2]),
            ("nothing", &[]),
            ("a count alone", &[3]),
            ("an item that is cut off", &[2, 1, 0x80]),
        ];
        for (what, bytes) in rows {
            assert_eq!(Vec::<u64>::thaw(&mut Frozen::new(bytes)), None, "{what}");
        }
        assert_eq!(bool::thaw(&mut Frozen::new(&[2])), None);
        assert_eq!(u16::thaw(&mut Frozen::new(&frozen(&65_536_u32))), None);
        assert_eq!(String::thaw(&mut Frozen::new(&[1, 0xff])), None);
        assert_eq!(IpAddr::thaw(&mut Frozen::new(&[5, 0, 0, 0, 0, 0])), None);
        assert_eq!(Shape::thaw(&mut Frozen::new(&[1, 0, 0, 0, 1])), None, "a variant that there is not");
        assert_eq!(Old::thaw(&mut Frozen::new(&[9, 0, 0, 0, 0, 0])), None, "longer than the bytes");
        assert_eq!(Vec::<Empty>::thaw(&mut Frozen::new(&[0xff, 0xff, 0xff, 0xff, 1])), None);
    }

    /// A type without bytes must not be counted up to a count that bytes invent.
    #[derive(Debug, PartialEq)]
    struct Empty;

    impl Frost for Empty {
        fn freeze(&self, _: &mut Vec<u8>) {}

        fn thaw(_: &mut Frozen<'_>) -> Option<Self> {
            Some(Self)
        }
    }
}
