//! Tokens, and how signs that are written ambiguously read.

/// How a comma between digits reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Commas {
    /// Groups of three digits outside brackets make one number, as in `1,000`; any other comma
    /// parts items.
    #[default]
    Auto,
    /// Every comma parts items.
    Separators,
    /// A comma between digits is the decimal point, as in `1,22`.
    Decimal,
}

/// How signs that are written ambiguously read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spelling {
    pub(crate) commas: Commas,
    /// `mu` in plain letters is the Greek letter; otherwise `m` times `u`.
    pub(crate) greek: bool,
}

/// The digits of a literal, separators taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digits {
    pub(crate) whole: String,
    pub(crate) fraction: Option<String>,
    /// Digits that repeat for ever, after `fraction`.
    pub(crate) repeating: Option<String>,
    /// Power of ten.
    pub(crate) exponent: i64,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tok<'a> {
    Num(Digits),
    /// One letter; the second part is the whole run of letters it stands in when it is the first of
    /// them.
    Letter(char, &'a str),
    /// A run of letters that has a meaning as a whole.
    Word(&'a str),
    Cmd(&'a str),
    Text(&'a str),
    Ch(char),
    /// `\\`: a row ends.
    Row,
    End,
}

/// A token and where it stands in the text.
#[derive(Clone, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) tok: Tok<'a>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Whether white space stood before it.
    pub(crate) space: bool,
}
