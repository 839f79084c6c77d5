//! The names the parser knows: commands, functions, words.

use super::expr::{Const, Func};

/// A function with a meaning, by its LaTeX or plain name (without backslash).
pub(super) fn function(name: &str) -> Option<Func> {
    Some(match name {
        "sin" => Func::Sin,
        "cos" => Func::Cos,
        "tan" | "tg" => Func::Tan,
        "cot" | "ctg" | "cotan" => Func::Cot,
        "sec" => Func::Sec,
        "csc" | "cosec" => Func::Csc,
        "arcsin" | "asin" => Func::Asin,
        "arccos" | "acos" => Func::Acos,
        "arctan" | "atan" | "arctg" => Func::Atan,
        "arccot" | "acot" => Func::Acot,
        "sinh" => Func::Sinh,
        "cosh" => Func::Cosh,
        "tanh" => Func::Tanh,
        "arcsinh" | "asinh" | "arsinh" => Func::Asinh,
        "arccosh" | "acosh" | "arcosh" => Func::Acosh,
        "arctanh" | "atanh" | "artanh" => Func::Atanh,
        // By way of another: see [`detour`].
        "sech" => Func::Cosh,
        "csch" | "cosech" => Func::Sinh,
        "coth" | "cth" => Func::Tanh,
        "arcsec" | "asec" => Func::Acos,
        "arccsc" | "acsc" | "arccosec" => Func::Asin,
        "arcsech" | "asech" | "arsech" => Func::Acosh,
        "arccsch" | "acsch" | "arcsch" => Func::Asinh,
        "arccoth" | "acoth" | "arcoth" => Func::Atanh,
        "sinc" => Func::Sin,
        "atan2" => Func::Arg,
        "exp" | "cis" => Func::Exp,
        "ln" | "log" => Func::Ln,
        "lg" => Func::Log,
        "abs" | "Abs" => Func::Abs,
        "floor" => Func::Floor,
        "ceil" | "ceiling" => Func::Ceil,
        "factorial" => Func::Factorial,
        "binomial" => Func::Binomial,
        "gcd" => Func::Gcd,
        "lcm" => Func::Lcm,
        "max" | "Max" => Func::Max,
        "min" | "Min" => Func::Min,
        "Re" | "re" => Func::Re,
        "Im" | "im" => Func::Im,
        "conjugate" => Func::Conjugate,
        "arg" => Func::Arg,
        "sgn" | "sign" => Func::Sign,
        "det" => Func::Det,
        _ => return None,
    })
}

/// How a function is made of the one that [`function`] gives for its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detour {
    /// `1/f(x)`.
    InverseValue,
    /// `f(1/x)`.
    InverseArgument,
    /// `f(x)/x`, and 1 at zero.
    Sinc,
    /// The angle of the point `(x, y)`, given as `y, x`.
    Angle,
}

/// The way to a function without its own code.
pub(super) fn detour(name: &str) -> Option<Detour> {
    Some(match name {
        "sech" | "csch" | "cosech" | "coth" | "cth" => Detour::InverseValue,
        "arcsec" | "asec" | "arccsc" | "acsc" | "arccosec" | "arcsech" | "asech" | "arsech"
        | "arccsch" | "acsch" | "arcsch" | "arccoth" | "acoth" | "arcoth" => {
            Detour::InverseArgument
        }
        "sinc" => Detour::Sinc,
        "atan2" => Detour::Angle,
        _ => return None,
    })
}

/// Whether a name in front of its brackets is a function although letters are glued to it:
/// `x\sin(x)` written `xsin(x)`. Not those that end common words.
pub(super) fn is_glued_function(name: &str) -> bool {
    let root = matches!(name, "sqrt" | "cbrt");
    let common = name.len() < 3 || matches!(name, "arg" | "det" | "sign");
    root || name == "ln" || !common && function(name).is_some()
}

/// A constant by its LaTeX or plain name.
pub(super) fn constant(name: &str) -> Option<Const> {
    Some(match name {
        "pi" | "Pi" => Const::Pi,
        "infty" | "infinity" | "Infinity" | "inf" | "oo" => Const::Infinity,
        "emptyset" | "varnothing" | "empty" => Const::Empty,
        _ => return None,
    })
}

/// Greek letters by name, in LaTeX or as a plain word.
pub(super) fn is_greek(name: &str) -> bool {
    matches!(
        name,
        "alpha"
            | "beta"
            | "gamma"
            | "delta"
            | "epsilon"
            | "varepsilon"
            | "zeta"
            | "eta"
            | "theta"
            | "vartheta"
            | "iota"
            | "kappa"
            | "lambda"
            | "mu"
            | "nu"
            | "xi"
            | "rho"
            | "varrho"
            | "sigma"
            | "varsigma"
            | "tau"
            | "upsilon"
            | "phi"
            | "varphi"
            | "chi"
            | "psi"
            | "omega"
            | "omicron"
            | "Alpha"
            | "Beta"
            | "Gamma"
            | "Delta"
            | "Epsilon"
            | "Zeta"
            | "Eta"
            | "Theta"
            | "Iota"
            | "Kappa"
            | "Lambda"
            | "Mu"
            | "Nu"
            | "Xi"
            | "Omicron"
            | "Rho"
            | "Sigma"
            | "Tau"
            | "Upsilon"
            | "Phi"
            | "Chi"
            | "Psi"
            | "Omega"
    )
}

/// Letters that have a name, and other commands that stand for a symbol.
pub(super) fn is_symbol(name: &str) -> bool {
    is_greek(name)
        || matches!(
            name,
            "ell"
                | "hbar"
                | "partial"
                | "nabla"
                | "aleph"
                | "odot"
                | "star"
                | "dagger"
                | "triangle"
                | "square"
                | "clubsuit"
                | "heartsuit"
                | "spadesuit"
                | "diamondsuit"
                | "top"
                | "bot"
                | "ast"
                | "oplus"
                | "otimes"
                | "circ"
                | "bullet"
        )
}

/// Commands that only set type: dropped wherever they stand.
pub(super) fn is_layout(name: &str) -> bool {
    matches!(
        name,
        "left"
            | "right"
            | "middle"
            | "big"
            | "Big"
            | "bigg"
            | "Bigg"
            | "bigl"
            | "bigr"
            | "Bigl"
            | "Bigr"
            | "biggl"
            | "biggr"
            | "Biggl"
            | "Biggr"
            | "displaystyle"
            | "textstyle"
            | "scriptstyle"
            | "limits"
            | "nolimits"
            | "quad"
            | "qquad"
            | "rm"
            | "bf"
            | "it"
            | "sf"
            | "tt"
            | "cal"
            | "thinspace"
            | "enspace"
            | "space"
            | "nonumber"
            | "notag"
            | "hfill"
            | "boldsymbol"
            | "bm"
            | "mathcal"
            | "mathfrak"
            | "mathscr"
            | "mathstrut"
            | "strut"
            | "phantom"
            | "hline"
            | "centering"
            | "small"
            | "large"
            | "Large"
            | "normalsize"
            | "mathop"
            | "mathbin"
            | "mathrel"
            | "mathord"
            | "ensuremath"
            | "checkmark"
            | "blacksquare"
    )
}

/// Commands whose braces hold words.
pub(super) fn is_text(name: &str) -> bool {
    matches!(
        name,
        "text"
            | "textbf"
            | "textit"
            | "textrm"
            | "textsf"
            | "texttt"
            | "textnormal"
            | "textup"
            | "textsc"
            | "mbox"
            | "hbox"
            | "emph"
            | "underline"
            | "operatorname"
    )
}

/// Alphabets: braces hold a letter, a number or a word.
pub(super) fn is_alphabet(name: &str) -> bool {
    matches!(
        name,
        "mathrm" | "mathbf" | "mathit" | "mathsf" | "mathtt" | "mathnormal"
    )
}

/// Marks over a letter: part of its name.
pub(super) fn is_accent(name: &str) -> bool {
    matches!(
        name,
        "overline"
            | "bar"
            | "vec"
            | "hat"
            | "widehat"
            | "tilde"
            | "widetilde"
            | "dot"
            | "ddot"
            | "overrightarrow"
            | "overleftrightarrow"
            | "overset"
            | "overparen"
            | "wideparen"
            | "overarc"
    )
}

/// One name for accents that mean the same: an arrow over letters is a vector however long it is
/// drawn.
pub(super) fn accent(name: &str) -> &str {
    match name {
        "overrightarrow" => "vec",
        "overline" => "bar",
        "widehat" => "hat",
        "widetilde" => "tilde",
        "overparen" | "wideparen" => "overarc",
        _ => name,
    }
}

/// Commands that an operand can begin with, besides functions, constants, symbols, accents and
/// alphabets: fractions, roots, brackets, big operators, currencies.
pub(super) fn begins_operand(name: &str) -> bool {
    matches!(
        name,
        "boxed"
            | "fbox"
            | "frac"
            | "dfrac"
            | "tfrac"
            | "cfrac"
            | "sqrt"
            | "binom"
            | "dbinom"
            | "tbinom"
            | "lbrace"
            | "lbrack"
            | "lfloor"
            | "lceil"
            | "lvert"
            | "vert"
            | "lVert"
            | "Vert"
            | "langle"
            | "begin"
            | "sum"
            | "prod"
            | "int"
            | "lim"
            | "angle"
            | "euro"
            | "pounds"
            | "yen"
            | "cent"
    )
}

/// Whether a command of this name exists, as far as the parser is concerned.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn is_command(name: &str) -> bool {
    function(name).is_some()
        || constant(name).is_some()
        || is_symbol(name)
        || is_layout(name)
        || is_text(name)
        || is_alphabet(name)
        || is_accent(name)
        || begins_operand(name)
        || matches!(
            name,
            "choose"
                | "cdot"
                | "times"
                | "div"
                | "pm"
                | "mp"
                | "le"
                | "leq"
                | "leqslant"
                | "leqq"
                | "ge"
                | "geq"
                | "geqslant"
                | "geqq"
                | "lt"
                | "gt"
                | "ne"
                | "neq"
                | "approx"
                | "equiv"
                | "cong"
                | "sim"
                | "simeq"
                | "propto"
                | "in"
                | "notin"
                | "ni"
                | "subset"
                | "subseteq"
                | "supset"
                | "supseteq"
                | "cup"
                | "cap"
                | "setminus"
                | "backslash"
                | "bigcup"
                | "bigcap"
                | "to"
                | "rightarrow"
                | "Rightarrow"
                | "implies"
                | "iff"
                | "Leftrightarrow"
                | "leftrightarrow"
                | "Longleftrightarrow"
                | "Longrightarrow"
                | "longrightarrow"
                | "mapsto"
                | "rfloor"
                | "rceil"
                | "rangle"
                | "rvert"
                | "mid"
                | "rbrace"
                | "rbrack"
                | "rVert"
                | "end"
                | "mathbb"
                | "Bbb"
                | "bmod"
                | "pmod"
                | "mod"
                | "prime"
                | "degree"
                | "ldots"
                | "dots"
                | "cdots"
                | "dotsc"
                | "infty"
                | "color"
                | "textcolor"
                | "hspace"
                | "vspace"
                | "not"
                | "land"
                | "lor"
                | "neg"
                | "lnot"
                | "wedge"
                | "vee"
                | "perp"
                | "parallel"
                | "because"
                | "therefore"
                | "colon"
                | "over"
                | "tag"
                | "label"
                | "underbrace"
                | "overbrace"
                | "stackrel"
        )
}

/// A number written as a word, up to twenty and the tens.
pub(super) fn number_word(word: &str) -> Option<i64> {
    const WORDS: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    const TENS: [&str; 7] = [
        "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    let at = |list: &[&str]| list.iter().position(|w| w.eq_ignore_ascii_case(word));
    if let Some(n) = at(&WORDS) {
        return i64::try_from(n).ok();
    }
    if let Some(n) = at(&TENS) {
        return i64::try_from(n * 10 + 30).ok();
    }
    word.eq_ignore_ascii_case("hundred").then_some(100)
}
