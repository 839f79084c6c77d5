//! Values that belong together: alternatives, lists, ranges, a quantity in two units.

use super::atom::{Atom, sentence, states};
use crate::units;

/// What stands around the last of some values.
pub(super) enum Joined {
    No,
    List(String),
    /// They belong together and cannot be told: `between 5 and 7`.
    Unread,
}

/// The list that the last value is part of: `2 or 3`, `12, or 18, or perhaps 35`, `2 and 3`.
pub(super) fn joined(text: &str, atoms: &[Atom], last: usize) -> Joined {
    let mut first = last;
    let mut words = 0;
    while first > 0 {
        let (a, b) = (&atoms[first - 1], &atoms[first]);
        let or = alternative(text, a, b) || range(text, a, b);
        let comma = || comma(text, a, b) && (words > 0 || hedges(&text[..b.head]));
        let linked = or || first == last && listed(text, a, b) || comma();
        if !linked {
            break;
        }
        words += 1;
        first -= 1;
    }
    let head = text[..atoms[first].head]
        .trim_end_matches([' ', '$', '*', '\\'])
        .to_ascii_lowercase();
    let after = |word: &str| {
        head.strip_suffix(word)
            .is_some_and(|rest| !rest.ends_with(char::is_alphanumeric))
    };
    if words == 0 {
        // An alternative that is no value: `something() or 0`; behind a comma the same in other
        // words: `all of them, or 5`.
        let or = !head.ends_with(", or")
            && [
                "or",
                "or even",
                "or perhaps",
                "or maybe",
                "or possibly",
                "或",
            ]
            .iter()
            .any(|word| after(word) || word.starts_with('或') && head.ends_with('或'));
        let doubt = text[atoms[last].end..].trim_start_matches([' ', '$', ',', '?', '.']);
        let other = doubt
            .get(..3)
            .is_some_and(|word| word.eq_ignore_ascii_case("or "))
            && !bounds(&doubt[3..]);
        return if or || other {
            Joined::Unread
        } else {
            Joined::No
        };
    }
    if [
        "between", "of", "from", "neither", "zwischen", "entre", "among",
    ]
    .iter()
    .any(|word| after(word))
    {
        return Joined::Unread;
    }
    let parts: Vec<&str> = atoms[first..=last]
        .iter()
        .map(|a| a.text.as_str())
        .collect();
    let pairs = || (first..last).map(|i| (&atoms[i], &atoms[i + 1]));
    let link = if pairs().any(|(a, b)| range(text, a, b)) {
        " to "
    } else if pairs().any(|(a, b)| alternative(text, a, b)) || hedges(&text[..atoms[last].head]) {
        " or "
    } else {
        ", "
    };
    Joined::List(parts.join(link))
}

/// `2 hours and 30 minutes`, `6 feet 2 inches`: one quantity in two units.
pub(super) fn compound(text: &str, a: &Atom, b: &Atom) -> Option<String> {
    let between = text.get(a.end..b.head)?;
    let word = |text: &str| -> usize {
        text.find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(text.len())
    };
    let unit = between.trim_start();
    let unit = &unit[..word(unit)];
    let link = between.trim_start()[unit.len()..].trim_matches([' ', ',']);
    let behind = &text[b.end..];
    let gap = behind.len() - behind.trim_start_matches(' ').len();
    let end = b.end + gap + word(&behind[gap..]);
    let second = &text[b.end + gap..end];
    let (x, y) = (units::read(unit), units::read(second));
    let same = x.is_known() && y.is_known() && x.dimension == y.dimension && x.size > y.size;
    (same && matches!(link, "" | "and")).then(|| text[a.start..end].to_owned())
}

/// `5 or more` is one value.
fn bounds(behind: &str) -> bool {
    [
        "more", "less", "fewer", "greater", "above", "below", "over", "under", "higher", "lower",
        "larger", "smaller", "later", "earlier", "so",
    ]
    .iter()
    .any(|word| behind.to_ascii_lowercase().starts_with(word))
}

/// What stands between two values, without marks and hedges.
fn glue(text: &str, a: &Atom, b: &Atom) -> Option<String> {
    const HEDGES: [&str; 9] = [
        "perhaps", "maybe", "possibly", "even", "else", "probably", "also", "x", "it's",
    ];
    let between = text.get(a.end..b.head)?;
    if between.len() > 60 || between.contains('\n') {
        return None;
    }
    let plain = between.to_lowercase();
    let words: Vec<&str> = plain
        .split([' ', '$', '*', '(', ')', '\\', '?', '.'])
        .filter(|word| !word.is_empty() && !HEDGES.contains(&word.trim_matches(',')))
        .collect();
    Some(words.join(" "))
}

/// `2 or 3`.
pub(super) fn alternative(text: &str, a: &Atom, b: &Atom) -> bool {
    let Some(glue) = glue(text, a, b) else {
        return false;
    };
    // `360 + 2x = 600, or x = 120` says the same again.
    let left = |atom: &Atom| {
        let side = match atom.text.split_once('=') {
            Some((side, _)) => side,
            None => &text[atom.head..atom.start],
        };
        side.trim_matches([' ', '=', '$', '*']).to_owned()
    };
    let parted = glue == ", or" || glue == "or" && a.text.ends_with(',');
    if parted && !left(b).is_empty() && left(a) != left(b) {
        return false;
    }
    let glue = glue.trim_matches(',');
    if matches!(
        glue,
        "or" | "and/or" | "ou" | "oder" | "或" | "或者" | "或是" | "还是"
    ) {
        return true;
    }
    // `2 apples or 3`, `180 rings, or 180`.
    matches!(
        glue.split_once(' '),
        Some((noun, "or"))
            if noun.len() <= 16 && noun.trim_end_matches(',').chars().all(char::is_alphabetic)
    )
}

/// `10 to 12`; not what goes from 10 to 12.
fn range(text: &str, a: &Atom, b: &Atom) -> bool {
    let from = text[..a.head]
        .trim_end_matches([' ', '$'])
        .ends_with("from");
    !from
        && b.head == b.start
        && glue(text, a, b).is_some_and(|glue| matches!(glue.as_str(), "to" | "through"))
}

/// Whether the sentence that ends here only offers values.
fn hedges(before: &str) -> bool {
    let lower = sentence(before).to_ascii_lowercase();
    lower.split(|c: char| !c.is_alphabetic()).any(|word| {
        matches!(
            word,
            "maybe" | "perhaps" | "possibly" | "might" | "could" | "either"
        )
    })
}

/// `2 and 3` without a name that is given.
fn listed(text: &str, a: &Atom, b: &Atom) -> bool {
    let bare = |atom: &Atom| !states(atom) && atom.head == atom.start;
    matches!(
        glue(text, a, b)
            .as_deref()
            .map(|glue| glue.trim_matches(',')),
        Some("and" | "und" | "et" | "和" | "与")
    ) && bare(a)
        && bare(b)
}

/// `1, 2 and 3`: the commas before the last link.
fn comma(text: &str, a: &Atom, b: &Atom) -> bool {
    glue(text, a, b).is_some_and(|glue| glue == ",")
}
