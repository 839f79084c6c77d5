//! Plain data out of Python's pickle format, without running any of it.
//!
//! A pickle is a program for a small stack machine, some of whose instructions import and call.
//! Those, and whatever else plain data does not need, are refused. Opcodes: Python's `pickletools`.

use serde_json::{Map, Number, Value};

/// Most bytes that texts fetched again from the memo may come to: a short pickle can ask for a long
/// text many times.
const MOST_FETCHED: usize = 64 << 20;
/// Deepest nesting.
const DEEPEST: usize = 64;

/// Reads a pickle of texts, numbers, lists, tuples, dictionaries with text keys, `None` and
/// booleans.
pub(super) fn unpickle(bytes: &[u8]) -> Result<Value, String> {
    Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        fetched: 0,
    }
    .run()
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Values with the depth of each.
    stack: Vec<(Value, usize)>,
    marks: Vec<usize>,
    /// Texts by number; anything else that is remembered cannot be asked for.
    memo: Vec<Option<String>>,
    fetched: usize,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Value, String> {
        loop {
            let at = self.at;
            match self.take(1)?[0] {
                0x80 => drop(self.take(1)?), // PROTO
                0x95 => drop(self.take(8)?), // FRAME
                b'.' => {
                    let (value, _) = self.pop()?;
                    return Ok(value);
                }
                b'N' => self.push(Value::Null),
                0x88 => self.push(Value::Bool(true)),
                0x89 => self.push(Value::Bool(false)),
                b'K' => self.integer(1)?,
                b'M' => self.integer(2)?,
                b'J' => {
                    let bytes = self.array::<4>()?;
                    self.push(Value::from(i32::from_le_bytes(bytes)));
                }
                0x8a => self.long()?,
                b'G' => {
                    let number = f64::from_be_bytes(self.array()?);
                    let number = Number::from_f64(number).ok_or("a number that JSON has not")?;
                    self.push(Value::Number(number));
                }
                0x8c => self.text(1)?,
                b'X' => self.text(4)?,
                0x8d => self.text(8)?,
                b']' | b')' => self.push(Value::Array(Vec::new())),
                b'}' => self.push(Value::Object(Map::new())),
                b'(' => self.marks.push(self.stack.len()),
                b'a' => self.append(1)?,
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(items)?;
                }
                b's' => self.set(2)?,
                b'u' => {
                    let items = self.since_mark()?;
                    self.set(items)?;
                }
                code @ 0x85..=0x87 => self.tuple(usize::from(code) - 0x84)?,
                b't' => {
                    let items = self.since_mark()?;
                    self.tuple(items)?;
                }
                0x94 => self.remember(self.memo.len())?, // MEMOIZE
                b'q' => {
                    let index = self.number(1)?;
                    self.remember(index)?;
                }
                b'r' => {
                    let index = self.number(4)?;
                    self.remember(index)?;
                }
                b'h' => {
                    let index = self.number(1)?;
                    self.fetch(index)?;
                }
                b'j' => {
                    let index = self.number(4)?;
                    self.fetch(index)?;
                }
                code => return Err(format!("byte {at}: opcode {code:#04x} is not plain data")),
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(count).ok_or("a length out of range")?;
        let part = self.bytes.get(self.at..end).ok_or("it ends too early")?;
        self.at = end;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// An unsigned number of `width` bytes, least significant first.
    fn number(&mut self, width: usize) -> Result<usize, String> {
        let bytes = self.take(width)?;
        let value = bytes
            .iter()
            .rev()
            .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).map_err(|_| "a length out of range".to_owned())
    }

    fn push(&mut self, value: Value) {
        self.stack.push((value, 0));
    }

    /// The topmost value, if it lies above the last mark.
    fn pop(&mut self) -> Result<(Value, usize), String> {
        if self
            .marks
            .last()
            .is_some_and(|&mark| mark >= self.stack.len())
        {
            return Err("a value is missing".to_owned());
        }
        self.stack
            .pop()
            .ok_or_else(|| "a value is missing".to_owned())
    }

    fn integer(&mut self, width: usize) -> Result<(), String> {
        let value = self.number(width)?;
        self.push(Value::from(value));
        Ok(())
    }

    /// A two's complement number of up to eight bytes; larger ones are no test data that JSON could
    /// hold.
    fn long(&mut self) -> Result<(), String> {
        let width = self.number(1)?;
        if width > 8 {
            return Err("an integer of more than 64 bits".to_owned());
        }
        let bytes = self.take(width)?;
        let sign = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if sign { 0xff } else { 0 }; 8];
        wide[..width].copy_from_slice(bytes);
        self.push(Value::from(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn text(&mut self, width: usize) -> Result<(), String> {
        let length = self.number(width)?;
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| "a text that is not UTF-8")?
            .to_owned();
        self.push(Value::String(text));
        Ok(())
    }

    /// How many values lie above the last mark, which is taken away.
    fn since_mark(&mut self) -> Result<usize, String> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.len() - mark)
    }

    /// The topmost values in order, and the depth of what holds them.
    fn items(&mut self, count: usize) -> Result<(Vec<Value>, usize), String> {
        let start = self.stack.len().checked_sub(count);
        let start = start.ok_or("a value is missing")?;
        let items = self.stack.split_off(start);
        let depth = 1 + items.iter().map(|item| item.1).max().unwrap_or(0);
        if depth > DEEPEST {
            return Err("it is nested too deeply".to_owned());
        }
        Ok((items.into_iter().map(|item| item.0).collect(), depth))
    }

    fn append(&mut self, count: usize) -> Result<(), String> {
        let (items, deep) = self.items(count)?;
        let Some((Value::Array(list), depth)) = self.stack.last_mut() else {
            return Err("there is no list to append to".to_owned());
        };
        list.extend(items);
        *depth = deep.max(*depth);
        Ok(())
    }

    fn set(&mut self, count: usize) -> Result<(), String> {
        let (items, deep) = self.items(count)?;
        let Some((Value::Object(map), depth)) = self.stack.last_mut() else {
            return Err("there is no dictionary to fill".to_owned());
        };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let Value::String(key) = key else {
                return Err("a key that is no text".to_owned());
            };
            map.insert(key, value);
        }
        *depth = deep.max(*depth);
        Ok(())
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let (items, depth) = self.items(count)?;
        self.stack.push((Value::Array(items), depth));
        Ok(())
    }

    fn remember(&mut self, index: usize) -> Result<(), String> {
        // Each instruction remembers at most one value, so that the memo is no longer than the
        // pickle.
        if index > self.bytes.len() {
            return Err("a memo out of range".to_owned());
        }
        let text = match self.stack.last() {
            Some((Value::String(text), _)) => Some(text.clone()),
            Some(_) => None,
            None => return Err("a value is missing".to_owned()),
        };
        self.count(text.as_deref())?;
        if self.memo.len() <= index {
            self.memo.resize(index + 1, None);
        }
        self.memo[index] = text;
        Ok(())
    }

    fn fetch(&mut self, index: usize) -> Result<(), String> {
        let text = self.memo.get(index).cloned().flatten();
        let text = text.ok_or("it refers to something that is no text")?;
        self.count(Some(&text))?;
        self.push(Value::String(text));
        Ok(())
    }

    fn count(&mut self, text: Option<&str>) -> Result<(), String> {
        self.fetched += text.map_or(0, str::len);
        if self.fetched > MOST_FETCHED + self.bytes.len() {
            return Err("it repeats itself too often".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `pickle.dumps({"a": [1, -2, 300, 70000, 1 << 40, 1.5, None, True, False], "b": ("x", "x"),
    /// "c": {}}, protocol)`, by hand: every instruction that plain data needs.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0, b'}', 0x94, b'('];
        bytes.extend(b"\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xffM\x2c\x01J\x70\x11\x01\x00");
        bytes
            .extend(b"\x8a\x06\x00\x00\x00\x00\x00\x01G\x3f\xf8\x00\x00\x00\x00\x00\x00N\x88\x89e");
        bytes.extend(b"X\x01\x00\x00\x00bq\x05\x8c\x01x\x94h\x06\x86\x94\x8c\x01c\x94}\x94u.");
        bytes
    }

    #[test]
    fn plain_data_is_read() {
        let expected = json!({
            "a": [1, -2, 300, 70000, 1_i64 << 40, 1.5, null, true, false],
            "b": ["x", "x"],
            "c": {},
        });
        assert_eq!(unpickle(&sample()).unwrap(), expected);
    }

    #[test]
    fn what_imports_calls_or_breaks_off_is_refused() {
        // `os.system("x")` in the two usual spellings, a call of a built-in, a persistent object,
        // an extension.
        for bytes in [
            &b"cos\nsystem\n(S'x'\ntR."[..],
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
            b"\x80\x02c__builtin__\neval\nq\x00X\x01\x00\x00\x001q\x01\x85q\x02Rq\x03.",
            b"Pid\n.",
            b"\x82\x01.",
        ] {
            assert!(unpickle(bytes).unwrap_err().contains("not plain data"));
        }
        for bytes in [
            &b""[..],
            b".",
            b"(.",
            b"N(.",
            b"a.",
            b"]Na",
            b"Ne.",
            b"(s.",
            b"}NNs.",
            b"K",
            b"X\xff\xff\xff\xff.",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
            b"h\x00.",
            b"]q\x00h\x00.",
            b"q\x00.",
            b"Nr\xff\xff\xff\xff.",
            b"\x8a\x09123456789.",
            b"\x86.",
            b"t.",
            b"X\x01\x00\x00\x00\xff.",
            b"](Na.",
        ] {
            assert!(unpickle(bytes).is_err(), "{bytes:?}");
        }
        let sample = sample();
        for end in 0..sample.len() {
            assert!(unpickle(&sample[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn small_pickles_stay_small() {
        let mut nested = vec![b']'; 200];
        nested.extend([b'a'; 199]);
        nested.push(b'.');
        assert!(unpickle(&nested).unwrap_err().contains("deeply"));
        // A text of one megabyte, asked for a thousand times.
        let mut repeated = b"]X\x00\x00\x10\x00".to_vec();
        repeated.extend(vec![b'x'; 1 << 20]);
        repeated.extend(b"q\x00a");
        repeated.extend(b"h\x00a".repeat(1000));
        repeated.push(b'.');
        assert!(unpickle(&repeated).unwrap_err().contains("repeats"));
    }
}
