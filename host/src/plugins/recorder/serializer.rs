//! How serde's data model is written as the contract's JSON.

use serde::ser::{self, Serialize};

use super::json::{Limited, Unwritable};

impl Limited {
    fn open(&mut self, open: &str, close: &'static str) -> Compound<'_> {
        self.may_be_byte = false;
        self.out.push_str(open);
        Compound { to: self, is_first: true, close }
    }
}

/// A record, tuple or variant that is being written.
pub(in crate::plugins) struct Compound<'a> {
    to: &'a mut Limited,
    is_first: bool,
    close: &'static str,
}

impl Compound<'_> {
    fn next(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.to.out.push(',');
        }
    }

    fn end(self) -> Result<(), Unwritable> {
        self.to.out.push_str(self.close);
        Ok(())
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.next();
        value.serialize(&mut *self.to)
    }

    fn named<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Unwritable> {
        self.next();
        self.to.field(name);
        self.to.out.push(':');
        value.serialize(&mut *self.to)
    }
}

/// A list that is being written: of bytes as long as nothing else has come.
pub(in crate::plugins) struct List<'a> {
    to: &'a mut Limited,
    /// The bytes of the list around this one.
    outer: Vec<u8>,
    start: usize,
    is_first: bool,
    is_bytes: bool,
}

impl ser::SerializeSeq for List<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        let to = &mut *self.to;
        if to.out.len() + to.bytes.len() >= to.limit {
            to.cut = true;
            return Ok(());
        }
        if !self.is_first && !self.is_bytes {
            to.out.push(',');
        }
        to.may_be_byte = self.is_first || self.is_bytes;
        value.serialize(&mut *to)?;
        to.may_be_byte = false;
        if std::mem::take(&mut self.is_first) {
            self.is_bytes = !to.bytes.is_empty();
        }
        Ok(())
    }

    fn end(self) -> Result<(), Unwritable> {
        let bytes = std::mem::replace(&mut self.to.bytes, self.outer);
        if self.is_bytes {
            self.to.out.truncate(self.start);
            self.to.blob(&bytes);
        } else {
            self.to.out.push(']');
        }
        Ok(())
    }
}

macro_rules! compound {
    ($($trait:ident $function:ident),*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Unwritable;

            fn $function<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
                self.element(value)
            }

            fn end(self) -> Result<(), Unwritable> {
                Compound::end(self)
            }
        }
    )*};
}

compound!(
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! named {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Unwritable;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Unwritable> {
                self.named(name, value)
            }

            fn end(self) -> Result<(), Unwritable> {
                Compound::end(self)
            }
        }
    )*};
}

named!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritable> {
        self.element(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.to.out.push(':');
        value.serialize(&mut *self.to)
    }

    fn end(self) -> Result<(), Unwritable> {
        Compound::end(self)
    }
}

macro_rules! plain {
    ($($function:ident $type:ty),*) => {$(
        fn $function(self, value: $type) -> Result<(), Unwritable> {
            self.plain(value)
        }
    )*};
}

impl<'a> ser::Serializer for &'a mut Limited {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = List<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    plain!(
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_u16 u16, serialize_u32 u32, serialize_u64 u64
    );

    fn serialize_u8(self, value: u8) -> Result<(), Unwritable> {
        if self.may_be_byte {
            self.bytes.push(value);
            return Ok(());
        }
        self.plain(value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Unwritable> {
        self.serialize_f64(f64::from(value))
    }

    /// JSON has no infinity and no NaN, so they are words.
    fn serialize_f64(self, value: f64) -> Result<(), Unwritable> {
        if value.is_finite() { self.plain(value) } else { self.plain(format_args!("\"{value}\"")) }
    }

    fn serialize_char(self, value: char) -> Result<(), Unwritable> {
        self.text(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Unwritable> {
        self.text(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Unwritable> {
        self.may_be_byte = false;
        self.blob(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unwritable> {
        self.plain("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unwritable> {
        self.may_be_byte = false;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unwritable> {
        self.plain("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritable> {
        self.plain("null")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, case: &'static str) -> Result<(), Unwritable> {
        self.case(case);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        case: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        self.out.push('{');
        self.case(case);
        self.out.push(':');
        value.serialize(&mut *self)?;
        self.out.push('}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, Unwritable> {
        self.may_be_byte = false;
        let start = self.out.len();
        self.out.push('[');
        let outer = std::mem::take(&mut self.bytes);
        Ok(List { to: self, outer, start, is_first: true, is_bytes: false })
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a>, Unwritable> {
        Ok(self.open("[", "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, Unwritable> {
        Ok(self.open("[", "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        case: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Unwritable> {
        self.out.push('{');
        self.case(case);
        Ok(self.open(":[", "]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, Unwritable> {
        Ok(self.open("{", "}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, Unwritable> {
        Ok(self.open("{", "}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        case: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Unwritable> {
        self.out.push('{');
        self.case(case);
        Ok(self.open(":{", "}}"))
    }
}
