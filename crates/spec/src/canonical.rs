//! RFC 8785: one text for each value, so that what is hashed has one digest.
//!
//! [`serde_json_canonicalizer`] is the rule. It takes 30 µs for the 1 KB of a trial, most of it in allocations, and a sweep writes down
//! one trial after the other; so what it does is done here for plain values, in a fifth of the time. Plain are those whose keys are
//! ASCII without escapes, each once in its object. All others are the crate's.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

/// The RFC 8785 form of a value: sorted keys, shortest numbers, no spaces. Whatever is hashed is hashed in this form.
///
/// # Panics
/// Never for the types of this workspace: all of them serialise, and none holds NaN or a non-text key.
#[must_use]
pub fn canonical_json<T: Serialize>(value: &T) -> Vec<u8> {
    plain(value).unwrap_or_else(|| {
        serde_json_canonicalizer::to_vec(value).expect("a spec holds only finite numbers and text keys")
    })
}

/// The form of a plain value.
fn plain<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    let mut text = Text::default();
    value.serialize(&mut Serializer::with_formatter(io::sink(), Sorted(&mut text))).ok()?;
    text.is_plain.then_some(text.written)
}

struct Text {
    written: Vec<u8>,
    /// Objects that are not closed, the innermost last.
    open: Vec<Object>,
    /// An object in its new order.
    sorted: Vec<u8>,
    is_plain: bool,
}

impl Default for Text {
    fn default() -> Self {
        Self { written: Vec::with_capacity(1_024), open: Vec::new(), sorted: Vec::new(), is_plain: true }
    }
}

/// Entries stand one behind the other, in the order they came.
#[derive(Default)]
struct Object {
    /// Where its first entry begins.
    start: usize,
    entries: Vec<Entry>,
}

/// Where a key begins and ends, with its quotes, and where its value ends.
#[derive(Clone, Copy, Default)]
struct Entry {
    key: usize,
    colon: usize,
    end: usize,
}

impl Text {
    fn number(&mut self, value: f64) -> io::Result<()> {
        self.written.write_all(ryu_js::Buffer::new().format_finite(value).as_bytes())
    }

    /// Without its quotes: a key comes before those that it begins.
    fn key(&self, entry: &Entry) -> &[u8] {
        &self.written[entry.key + 1..entry.colon - 1]
    }

    /// Puts the entries of the innermost object in order.
    fn close(&mut self) {
        let Some(Object { start, mut entries }) = self.open.pop() else { return };
        entries.sort_unstable_by(|a, b| self.key(a).cmp(self.key(b)));
        let plain = |key: &[u8]| key.iter().all(|byte| (b' '..0x7f).contains(byte) && *byte != b'\\');
        self.is_plain &= entries.iter().all(|entry| plain(self.key(entry)))
            && entries.windows(2).all(|pair| self.key(&pair[0]) != self.key(&pair[1]));
        self.sorted.clear();
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                self.sorted.push(b',');
            }
            self.sorted.extend_from_slice(&self.written[entry.key..entry.end]);
        }
        self.written.truncate(start);
        self.written.extend_from_slice(&self.sorted);
        self.written.push(b'}');
    }
}

/// Writes to a text, and nothing to where `serde_json` would.
struct Sorted<'a>(&'a mut Text);

/// Numbers of JSON are doubles.
macro_rules! doubles {
    ($($name:ident: $type:ty,)*) => { $(
        fn $name<W: ?Sized + Write>(&mut self, _: &mut W, value: $type) -> io::Result<()> {
            self.0.number(value as f64)
        }
    )* };
}

impl Formatter for Sorted<'_> {
    doubles! {
        write_i8: i8, write_i16: i16, write_i32: i32, write_i64: i64, write_i128: i128,
        write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64, write_u128: u128,
        write_f32: f32, write_f64: f64,
    }

    fn write_number_str<W: ?Sized + Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        self.0.is_plain = false;
        Ok(())
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        self.0.is_plain = false;
        Ok(())
    }

    fn write_null<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        CompactFormatter.write_null(&mut self.0.written)
    }

    fn write_bool<W: ?Sized + Write>(&mut self, _: &mut W, value: bool) -> io::Result<()> {
        CompactFormatter.write_bool(&mut self.0.written, value)
    }

    fn begin_string<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.written.push(b'"');
        Ok(())
    }

    fn end_string<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.written.push(b'"');
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, _: &mut W, fragment: &str) -> io::Result<()> {
        self.0.written.write_all(fragment.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, _: &mut W, escape: CharEscape) -> io::Result<()> {
        CompactFormatter.write_char_escape(&mut self.0.written, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.written.push(b'[');
        Ok(())
    }

    fn end_array<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.written.push(b']');
        Ok(())
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, _: &mut W, first: bool) -> io::Result<()> {
        if !first {
            self.0.written.push(b',');
        }
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.written.push(b'{');
        self.0.open.push(Object { start: self.0.written.len(), entries: Vec::with_capacity(16) });
        Ok(())
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, _: &mut W, _: bool) -> io::Result<()> {
        let key = self.0.written.len();
        if let Some(object) = self.0.open.last_mut() {
            object.entries.push(Entry { key, colon: key, end: key });
        }
        Ok(())
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        let colon = self.0.written.len();
        self.0.written.push(b':');
        if let Some(entry) = self.0.open.last_mut().and_then(|object| object.entries.last_mut()) {
            entry.colon = colon;
        }
        Ok(())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        let end = self.0.written.len();
        if let Some(entry) = self.0.open.last_mut().and_then(|object| object.entries.last_mut()) {
            entry.end = end;
        }
        Ok(())
    }

    fn end_object<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
