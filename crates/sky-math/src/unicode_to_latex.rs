//! Rewrites a text to one spelling, LaTeX in ASCII: Unicode mathematics, escaped escapes, invisible
//! characters.

use std::borrow::Cow;

use super::latex_names::is_command;

/// Code points of the digit zero in scripts whose ten digits follow each other (Unicode 16, general
/// category Nd).
const ZEROS: [u32; 14] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0E50, 0xFF10,
];

/// Text on the way, and where a group of raised or lowered signs ends in it.
#[derive(Default)]
struct Rewritten {
    text: String,
    /// The mark of the last such group and the length of the text behind it.
    group: Option<(char, usize)>,
}

/// Rewrites Unicode mathematics as LaTeX and repairs doubled or eaten backslashes; a text that
/// needs neither is borrowed.
pub(super) fn unicode_to_latex(text: &str) -> Cow<'_, str> {
    let plain = text
        .bytes()
        .all(|b| (0x20..0x7F).contains(&b) || b == b'\n');
    if plain && !text.contains(r"\\") {
        return Cow::Borrowed(text);
    }
    let mut out = Rewritten::default();
    out.text.reserve(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = after;
        match c {
            '\\' if after.starts_with('\\') => {
                // `\\frac` is a `\frac` that was escaped twice, unless the row of a matrix ends
                // before a word.
                let word = letters(&after[1..]);
                if word.len() >= 2 && is_command(word) {
                    continue;
                }
                out.text.push_str(r"\\");
                rest = &after[1..];
            }
            // Escapes that a string literal ate: "\frac" became form feed + "rac", and so on.
            '\u{c}' if after.starts_with("rac") => out.text.push_str(r"\f"),
            '\t' if after.starts_with("ext")
                || after.starts_with("imes")
                || after.starts_with("frac") =>
            {
                out.text.push_str(r"\t");
            }
            '\u{8}'
                if after.starts_with("oxed")
                    || after.starts_with("egin")
                    || after.starts_with("inom") =>
            {
                out.text.push_str(r"\b");
            }
            '\r' if after.starts_with("ight") => out.text.push_str(r"\r"),
            '\n' | '\t' | '\r' => out.text.push(' '),
            ' '..='~' => out.text.push(c),
            _ => out.unicode(c),
        }
    }
    Cow::Owned(out.text)
}

/// The run of ASCII letters that `text` begins with.
pub(super) fn letters(text: &str) -> &str {
    let end = text
        .bytes()
        .position(|b| !b.is_ascii_alphabetic())
        .unwrap_or(text.len());
    &text[..end]
}

impl Rewritten {
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn unicode(&mut self, c: char) {
        let code = u32::from(c);
        if let Some(&zero) = ZEROS
            .iter()
            .find(|&&zero| (zero..zero + 10).contains(&code))
        {
            self.digit(code - zero);
            return;
        }
        let replacement = match c {
            '\u{FF01}'..='\u{FF5E}' => {
                self.text.extend(char::from_u32(code - 0xFEE0));
                return;
            }
            '\u{1D7CE}'..='\u{1D7FF}' => {
                self.digit((code - 0x1D7CE) % 10);
                return;
            }
            '①'..='⑨' => {
                self.digit(code - 0x2460 + 1);
                return;
            }
            '⁰' | '⁴'..='⁹' => return self.script('^', code - 0x2070),
            '¹' => return self.script('^', 1),
            '²' => return self.script('^', 2),
            '³' => return self.script('^', 3),
            '₀'..='₉' => return self.script('_', code - 0x2080),
            '⁻' => return self.mark('^', '-'),
            '⁺' => return self.mark('^', '+'),
            '₋' => return self.mark('_', '-'),
            '₊' => return self.mark('_', '+'),
            'ⁿ' => return self.mark('^', 'n'),
            'ˣ' => return self.mark('^', 'x'),
            'ᵗ' => return self.mark('^', 't'),
            'ᵏ' => return self.mark('^', 'k'),
            'ᵐ' => return self.mark('^', 'm'),
            'ʸ' => return self.mark('^', 'y'),
            'ⁱ' => return self.mark('^', 'i'),
            'ₙ' => return self.mark('_', 'n'),
            'ₖ' => return self.mark('_', 'k'),
            'ᵢ' => return self.mark('_', 'i'),
            '½' => r"\frac{1}{2}",
            '⅓' => r"\frac{1}{3}",
            '⅔' => r"\frac{2}{3}",
            '¼' => r"\frac{1}{4}",
            '¾' => r"\frac{3}{4}",
            '⅕' => r"\frac{1}{5}",
            '⅖' => r"\frac{2}{5}",
            '⅗' => r"\frac{3}{5}",
            '⅘' => r"\frac{4}{5}",
            '⅙' => r"\frac{1}{6}",
            '⅚' => r"\frac{5}{6}",
            '⅛' => r"\frac{1}{8}",
            '⅜' => r"\frac{3}{8}",
            '⅝' => r"\frac{5}{8}",
            '⅞' => r"\frac{7}{8}",
            '\u{2010}'..='\u{2015}' | '−' | '﹣' => "-",
            '×' | '✕' | '✖' | '⨯' => r"\times ",
            '·' | '⋅' | '∙' | '•' | '∗' => r"\cdot ",
            '÷' | '∕' | '⁄' => "/",
            '√' => r"\sqrt ",
            '∛' => r"\sqrt[3]",
            '∜' => r"\sqrt[4]",
            '∞' => r"\infty ",
            '≤' | '⩽' | '≦' => r"\le ",
            '≥' | '⩾' | '≧' => r"\ge ",
            '≠' => r"\ne ",
            '≈' | '≃' => r"\approx ",
            '≡' => r"\equiv ",
            '≅' => r"\cong ",
            '∈' => r"\in ",
            '∉' => r"\notin ",
            '⊂' => r"\subset ",
            '⊆' => r"\subseteq ",
            '∪' => r"\cup ",
            '∩' => r"\cap ",
            '∖' => r"\setminus ",
            '∅' | 'Ø' => r"\emptyset ",
            'ℝ' => r"\mathbb{R}",
            'ℤ' => r"\mathbb{Z}",
            'ℕ' => r"\mathbb{N}",
            'ℚ' => r"\mathbb{Q}",
            'ℂ' => r"\mathbb{C}",
            '°' | 'º' | '˚' => r"^\circ ",
            '±' => r"\pm ",
            '∓' => r"\mp ",
            '∠' => r"\angle ",
            '⌊' => r"\lfloor ",
            '⌋' => r"\rfloor ",
            '⌈' => r"\lceil ",
            '⌉' => r"\rceil ",
            '⟨' | '〈' => r"\langle ",
            '⟩' | '〉' => r"\rangle ",
            '∣' => "|",
            '∑' => r"\sum ",
            '∏' => r"\prod ",
            '∫' => r"\int ",
            '∂' => r"\partial ",
            '→' | '⟶' => r"\to ",
            '⇒' | '⟹' => r"\Rightarrow ",
            '′' | '’' | '‘' | 'ʹ' => "'",
            '″' => "''",
            '“' | '”' => "\"",
            '…' | '⋯' => r"\ldots ",
            '、' | '٬' => ",",
            '٫' => ".",
            '∧' => r"\land ",
            '∨' => r"\lor ",
            '¬' => r"\neg ",
            '⊕' => r"\oplus ",
            '↔' => r"\iff ",
            'Å' | '\u{212B}' => r"\text{angstrom}",
            '⋃' => r"\cup ",
            '⋂' => r"\cap ",
            '∼' => r"\sim ",
            'ℓ' => r"\ell ",
            '⇔' => r"\iff ",
            '⊥' => r"\perp ",
            '€' => r"\euro ",
            '£' => r"\pounds ",
            '¥' => r"\yen ",
            '¢' => r"\cent ",
            '\u{a0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => " ",
            // Zero-width characters, joiners, marks of direction, controls.
            '\u{ad}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{2064}'
            | '\u{FEFF}' => "",
            c if c.is_control() => "",
            c => match greek(c) {
                Some(name) => {
                    self.text.push('\\');
                    self.text.push_str(name);
                    " "
                }
                None => {
                    self.text.push(c);
                    return;
                }
            },
        };
        self.text.push_str(replacement);
    }

    fn digit(&mut self, digit: u32) {
        self.text.extend(char::from_digit(digit, 10));
    }

    fn script(&mut self, mark: char, digit: u32) {
        if let Some(digit) = char::from_digit(digit, 10) {
            self.mark(mark, digit);
        }
    }

    /// Appends a raised or lowered sign, joining a group of the same kind that ends here: `x¹²` is
    /// `x^{12}`.
    fn mark(&mut self, mark: char, sign: char) {
        if self.group == Some((mark, self.text.len())) {
            self.text.pop();
        } else {
            self.text.push(mark);
            self.text.push('{');
        }
        self.text.push(sign);
        self.text.push('}');
        self.group = Some((mark, self.text.len()));
    }
}

fn greek(c: char) -> Option<&'static str> {
    Some(match c {
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' | 'ϵ' => "epsilon",
        'ζ' => "zeta",
        'η' => "eta",
        'θ' | 'ϑ' => "theta",
        'ι' => "iota",
        'κ' => "kappa",
        'λ' => "lambda",
        'μ' | 'µ' => "mu",
        'ν' => "nu",
        'ξ' => "xi",
        'π' | '𝜋' => "pi",
        'ρ' => "rho",
        'σ' => "sigma",
        'τ' => "tau",
        'υ' => "upsilon",
        'φ' | 'ϕ' => "phi",
        'χ' => "chi",
        'ψ' => "psi",
        'ω' => "omega",
        'ο' => "omicron",
        'ς' => "sigma",
        'Α' => "Alpha",
        'Β' => "Beta",
        'Ε' => "Epsilon",
        'Ζ' => "Zeta",
        'Η' => "Eta",
        'Ι' => "Iota",
        'Κ' => "Kappa",
        'Μ' => "Mu",
        'Ν' => "Nu",
        'Ο' => "Omicron",
        'Ρ' => "Rho",
        'Τ' => "Tau",
        'Υ' => "Upsilon",
        'Χ' => "Chi",
        'Γ' => "Gamma",
        'Δ' | '∆' => "Delta",
        'Θ' => "Theta",
        'Λ' => "Lambda",
        'Ξ' => "Xi",
        'Π' => "Pi",
        'Σ' => "Sigma",
        'Φ' => "Phi",
        'Ψ' => "Psi",
        'Ω' | '\u{2126}' => "Omega",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unicode_becomes_latex() {
        assert_eq!(unicode_to_latex("５"), "5");
        assert_eq!(unicode_to_latex("٥"), "5");
        assert_eq!(unicode_to_latex("x¹²"), "x^{12}");
        assert_eq!(unicode_to_latex("−½"), r"-\frac{1}{2}");
        assert_eq!(unicode_to_latex("5\u{200b}\0"), "5");
        assert_eq!(unicode_to_latex("36°"), r"36^\circ ");
    }

    #[test]
    fn escapes_are_repaired() {
        assert_eq!(unicode_to_latex(r"\\frac{1}{2}"), r"\frac{1}{2}");
        assert_eq!(unicode_to_latex("\u{c}rac{7}{4}"), r"\frac{7}{4}");
        assert_eq!(unicode_to_latex(r"1 \\ 2"), r"1 \\ 2");
        assert_eq!(unicode_to_latex(r"1 \\\frac12"), r"1 \\\frac12");
    }
}
