//! Event names that JSON escapes.
//!
//! The library reads names without unescaping and ends the connection where it would have to; and
//! some clients escape every letter beyond ASCII. So a name is spelled out before the library sees
//! it, in the same number of bytes: those left over become spaces behind it. A character that JSON has
//! to escape is replaced by another one that no name may have itself.

use std::borrow::Cow;

/// Stands for a backslash. Not assigned in Unicode.
const BACKSLASH: char = '\u{378}';
/// Stands for a quote, in the place of the C1 character that NUL would have.
const QUOTE: char = '\u{80}';

/// A name that cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName;

/// A name within its quotes, as far as it was read.
#[derive(Debug, Default)]
pub struct Name {
    before: u8,
    escape: Escape,
    /// A first half of a surrogate pair.
    high: Option<u16>,
    /// Bytes read and not yet passed on.
    owed: usize,
}

/// How far an escape is read.
#[derive(Debug, Default, Clone, Copy)]
enum Escape {
    #[default]
    None,
    Backslash,
    /// Digits, and what they say so far.
    Digits(u8, u16),
}

impl Name {
    /// Reads the next byte; true when it is the quote behind the name. `put` gets the bytes to pass on.
    pub fn look(&mut self, byte: u8, put: &mut impl FnMut(u8)) -> Result<bool, BadName> {
        match self.escape {
            Escape::None => self.plain(byte, put),
            Escape::Backslash => self.escaped(byte, put).map(|()| false),
            Escape::Digits(count, value) => self.digit(count, value, byte, put).map(|()| false),
        }
    }

    /// Whether bytes were read for which none were passed on yet.
    pub fn owes(&self) -> bool {
        self.owed > 0
    }

    fn plain(&mut self, byte: u8, put: &mut impl FnMut(u8)) -> Result<bool, BadName> {
        if byte == b'\\' {
            self.owed += 1;
            self.escape = Escape::Backslash;
            return Ok(false);
        }
        self.lone_half(put)?;
        let is_stand_in = matches!((self.before, byte), (0xc2, 0x80..=0x9f) | (0xcd, 0xb8));
        self.before = byte;
        if is_stand_in {
            return Err(BadName);
        }
        put(byte);
        if byte == b'"' {
            (0..std::mem::take(&mut self.owed)).for_each(|_| put(b' '));
        }
        Ok(byte == b'"')
    }

    fn escaped(&mut self, byte: u8, put: &mut impl FnMut(u8)) -> Result<(), BadName> {
        self.owed += 1;
        if byte == b'u' {
            self.escape = Escape::Digits(0, 0);
            return Ok(());
        }
        self.lone_half(put)?;
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => return Err(BadName),
        };
        self.character(character, put)
    }

    fn digit(&mut self, count: u8, value: u16, byte: u8, put: &mut impl FnMut(u8)) -> Result<(), BadName> {
        self.owed += 1;
        let digit = char::from(byte).to_digit(16).ok_or(BadName)?;
        let value = value << 4 | digit as u16;
        if count < 3 {
            self.escape = Escape::Digits(count + 1, value);
            return Ok(());
        }
        self.escape = Escape::None;
        if let (Some(high), 0xdc00..=0xdfff) = (self.high, value) {
            self.high = None;
            let pair = char::decode_utf16([high, value]).next();
            return self.character(pair.and_then(Result::ok).ok_or(BadName)?, put);
        }
        self.lone_half(put)?;
        match char::from_u32(u32::from(value)) {
            Some(character) => self.character(character, put),
            None if value < 0xdc00 => {
                self.high = Some(value);
                Ok(())
            }
            None => self.character(char::REPLACEMENT_CHARACTER, put),
        }
    }

    /// Half a pair without the other is no character.
    fn lone_half(&mut self, put: &mut impl FnMut(u8)) -> Result<(), BadName> {
        if self.high.take().is_some() { self.character(char::REPLACEMENT_CHARACTER, put) } else { Ok(()) }
    }

    /// Puts a character that was escaped; each took more bytes than it has.
    fn character(&mut self, character: char, put: &mut impl FnMut(u8)) -> Result<(), BadName> {
        self.escape = Escape::None;
        self.before = 0;
        let character = match character {
            '\0' | '\u{80}'..='\u{9f}' | BACKSLASH => return Err(BadName),
            '"' => QUOTE,
            '\\' => BACKSLASH,
            control @ ..'\u{20}' => char::from(control as u8 | 0x80),
            other => other,
        };
        let mut bytes = [0; 4];
        for byte in character.encode_utf8(&mut bytes).bytes() {
            put(byte);
            self.owed = self.owed.checked_sub(1).ok_or(BadName)?;
        }
        Ok(())
    }
}

/// A name as its client meant it.
pub fn restored(name: Cow<'_, str>) -> Cow<'_, str> {
    let is_stand_in = |c: char| matches!(c, '\u{80}'..='\u{9f}' | BACKSLASH);
    if name.is_ascii() || !name.contains(is_stand_in) {
        return name;
    }
    let original = |c: char| match c {
        QUOTE => '"',
        BACKSLASH => '\\',
        control @ '\u{81}'..='\u{9f}' => char::from(control as u8 & 0x7f),
        other => other,
    };
    Cow::Owned(name.chars().map(original).collect())
}
