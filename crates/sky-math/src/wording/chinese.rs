//! Numbers, roots, units and connectives of Chinese and Japanese, as LaTeX: `二分之一`, `2或-2`,
//! `5厘米`.

use crate::glyphs::{is_cjk, is_numeral};

/// Longer texts are not answers in words.
const MAX_TEXT: usize = 200;

/// Answers of one word.
const WORDS: [(&str, &str); 16] = [
    ("无解", r"\emptyset"),
    ("空集", r"\emptyset"),
    ("不存在", r"\text{does not exist}"),
    ("无意义", r"\text{does not exist}"),
    ("全体实数", r"\mathbb{R}"),
    ("所有实数", r"\mathbb{R}"),
    ("一切实数", r"\mathbb{R}"),
    ("任意实数", r"\mathbb{R}"),
    ("实数集", r"\mathbb{R}"),
    ("全体整数", r"\mathbb{Z}"),
    ("所有整数", r"\mathbb{Z}"),
    ("正无穷", r"\infty"),
    ("正无穷大", r"\infty"),
    ("无穷大", r"\infty"),
    ("负无穷", r"-\infty"),
    ("一半", r"\frac{1}{2}"),
];

/// Units by their names; any other word behind a number names what is counted.
const UNITS: [(&str, &str); 50] = [
    ("平方厘米", "cm^2"),
    ("平方分米", "dm^2"),
    ("平方毫米", "mm^2"),
    ("平方千米", "km^2"),
    ("平方公里", "km^2"),
    ("平方米", "m^2"),
    ("立方厘米", "cm^3"),
    ("立方分米", "dm^3"),
    ("立方米", "m^3"),
    ("厘米", "cm"),
    ("公分", "cm"),
    ("分米", "dm"),
    ("毫米", "mm"),
    ("千米", "km"),
    ("公里", "km"),
    ("米", "m"),
    ("千克", "kg"),
    ("公斤", "kg"),
    ("毫克", "mg"),
    ("克", "g"),
    ("吨", "tonnes"),
    ("毫升", "mL"),
    ("升", "L"),
    ("小时", "hours"),
    ("分钟", "minutes"),
    ("分鐘", "minutes"),
    ("秒钟", "seconds"),
    ("秒", "seconds"),
    ("时", "hours"),
    ("時間", "hours"),
    ("天", "days"),
    ("周", "weeks"),
    ("星期", "weeks"),
    ("个月", "months"),
    ("年", "years"),
    ("美元", "dollars"),
    ("人民币", "yuan"),
    ("欧元", "euros"),
    ("日元", "yen"),
    ("円", "yen"),
    ("元", "yuan"),
    ("度", "degrees"),
    ("摄氏度", "degrees"),
    ("牛顿", "N"),
    ("焦耳", "J"),
    ("瓦特", "W"),
    ("伏特", "V"),
    ("安培", "A"),
    ("以上", "at least"),
    ("以下", "at most"),
];

/// Words that make a value another one, and are not read.
const UNREAD: [&str; 22] = [
    "共", "有", "不", "没", "非", "错", "成", "折", "次方", "幂", "超过", "少于", "多于", "大于",
    "小于", "至少", "至多", "最多", "最少", "分之", "多", "半",
];

/// Rewrites an answer in Chinese; `None` when it is no value.
pub(super) fn reword(text: &str) -> Option<String> {
    if text.len() > MAX_TEXT || !text.contains(is_cjk) {
        return None;
    }
    let text = text.trim().trim_end_matches('。');
    let mut text = text.replace("分の", "分之").replace("ルート", "根号");
    for (word, sign) in [
        ("或者", "\u{1}"),
        ("或是", "\u{1}"),
        ("或", "\u{1}"),
        ("还是", "\u{1}"),
        ("并且", "\u{2}"),
        ("以及", "\u{2}"),
        ("和", "\u{2}"),
        ("与", "\u{2}"),
        ("且", "\u{2}"),
    ] {
        text = text.replace(word, sign);
    }
    let mut out = String::new();
    for piece in text.split_inclusive(['\u{1}', '\u{2}']) {
        let value = piece.trim_end_matches(['\u{1}', '\u{2}']);
        out.push_str(&read(value.trim())?);
        match piece.chars().next_back() {
            Some('\u{1}') => out.push_str(r" \text{ or } "),
            Some('\u{2}') => out.push_str(r" \text{ and } "),
            _ => {}
        }
    }
    Some(out)
}

/// One value, perhaps with units.
fn read(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    if !text.contains(is_cjk) {
        return Some(text.to_owned());
    }
    if let Some((_, latex)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Some((*latex).to_owned());
    }
    for about in ["大约", "约为", "约"] {
        if let Some(rest) = text.strip_prefix(about) {
            return read(rest.trim());
        }
    }
    value(text).or_else(|| quantity(text))
}

/// A number without a unit.
fn value(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('负') {
        return value(rest).map(|v| format!("-{v}"));
    }
    if let Some((whole, part)) = text.split_once('又') {
        return Some(format!("({} + {})", value(whole)?, value(part)?));
    }
    if let Some((parts, above)) = text.split_once("分之") {
        let parts = match parts {
            "百" => return Some(format!(r"{}\%", value(above)?)),
            "千" => "1000".to_owned(),
            "万" => "10000".to_owned(),
            parts => value(parts)?,
        };
        return Some(format!(r"\frac{{{}}}{{{parts}}}", value(above)?));
    }
    if let Some((times, root)) = text.split_once("根号") {
        let root = value(root)?;
        let (times, degree) = match times.strip_suffix("三次") {
            Some(times) => (times, "[3]"),
            None => (times, ""),
        };
        let times = times.trim_end_matches('倍');
        let times = if times.is_empty() {
            String::new()
        } else {
            format!("{} ", value(times)?)
        };
        return Some(format!(r"{times}\sqrt{degree}{{{root}}}"));
    }
    for (suffix, head, tail) in [
        ("的平方根", r"\sqrt{", "}"),
        ("的平方", "(", ")^2"),
        ("的立方", "(", ")^3"),
    ] {
        if let Some(base) = text.strip_suffix(suffix) {
            return Some(format!("{head}{}{tail}", value(base)?));
        }
    }
    if !text.contains(is_cjk) {
        return (!text.is_empty()).then(|| text.to_owned());
    }
    scaled(text).or_else(|| integer(text).map(|n| n.to_string()))
}

/// `5万`, `1.2亿`, `三点五`.
fn scaled(text: &str) -> Option<String> {
    if let Some((ones, parts)) = text.split_once('点') {
        let ones = integer(ones)?;
        let digits: Option<String> = parts
            .chars()
            .map(|c| digit(c).and_then(|d| char::from_digit(d, 10)))
            .collect();
        return digits
            .filter(|d| !d.is_empty())
            .map(|d| format!("{ones}.{d}"));
    }
    let end = text.find(is_cjk)?;
    let number = text[..end].trim();
    let plain = !number.is_empty()
        && number
            .trim_start_matches(['-', '+'])
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b'.' || b == b',');
    if !plain {
        return None;
    }
    let mut zeros = 0;
    for c in text[end..].chars() {
        zeros += match c {
            '十' => 1,
            '百' => 2,
            '千' => 3,
            '万' | '萬' => 4,
            '亿' | '億' => 8,
            _ => return None,
        };
    }
    Some(format!("{} \\cdot 10^{{{zeros}}}", number.replace(',', "")))
}

fn digit(c: char) -> Option<u32> {
    Some(match c {
        '零' | '〇' => 0,
        '一' => 1,
        '二' | '两' => 2,
        '三' => 3,
        '四' => 4,
        '五' => 5,
        '六' => 6,
        '七' => 7,
        '八' => 8,
        '九' => 9,
        _ => return None,
    })
}

/// `二十五`, `一百零五`, `三万两千`, `二〇二四`.
fn integer(text: &str) -> Option<i64> {
    if text.is_empty() || text.chars().count() > 18 {
        return None;
    }
    let digits: Option<Vec<u32>> = text.chars().map(digit).collect();
    if let Some(digits) = digits {
        // `五六` is five or six.
        let year = digits.len() == 1 || digits.len() >= 3 && !text.contains('两');
        return year.then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(*d)));
    }
    let (mut total, mut section, mut last) = (0_i64, 0_i64, None);
    let mut scale_before = i64::MAX;
    for c in text.chars() {
        let scale = match c {
            '十' => 10,
            '百' => 100,
            '千' => 1000,
            '万' | '萬' => 10_000,
            '亿' | '億' => 100_000_000,
            '零' | '〇' => {
                scale_before = 10;
                continue;
            }
            c => {
                if last.is_some() {
                    return None;
                }
                last = Some(i64::from(digit(c)?));
                continue;
            }
        };
        let ones = last.take();
        if scale >= 10_000 {
            let all = section + ones.unwrap_or(0);
            if all == 0 {
                return None;
            }
            total = (total + all).checked_mul(scale)?;
            section = 0;
            scale_before = scale;
        } else {
            if section != 0 && section % (scale * 10) != 0 {
                return None;
            }
            // `十五` begins with its ten.
            section += ones.or((scale == 10).then_some(1))? * scale;
            scale_before = scale;
        }
    }
    // `两千三` is short for another number.
    if last.is_some() && scale_before > 10 {
        return None;
    }
    Some(total + section + last.unwrap_or(0))
}

/// Numbers with units: `5厘米`, `3小时20分钟`, `60千米/小时`.
fn quantity(text: &str) -> Option<String> {
    let numeral = |c: char| !is_cjk(c) || is_numeral(c);
    let mut out = String::new();
    let mut rest = text.trim();
    for _ in 0..4 {
        // The longest beginning that is a number.
        let most = rest.find(|c| !numeral(c)).unwrap_or(rest.len());
        let mut ends: Vec<usize> = rest[..most].char_indices().map(|(at, _)| at).collect();
        ends.push(most);
        let (number, end) = ends
            .into_iter()
            .rev()
            .filter(|end| *end > 0)
            .find_map(|end| {
                let head = rest[..end].trim();
                // `3千克` is three kilograms, `3分钟` three minutes.
                let unit = ["千克", "千米", "分钟", "分米"];
                let cut = unit.iter().any(|u| {
                    let first = u.chars().next().filter(|c| rest[..end].ends_with(*c));
                    first.is_some_and(|c| rest[end - c.len_utf8()..].starts_with(u))
                });
                (!cut).then(|| value(head))?.map(|v| (v, end))
            })?;
        rest = rest[end..].trim_start();
        let len = rest
            .find(|c: char| c.is_ascii_digit() || !(is_cjk(c) || c == '/'))
            .unwrap_or(rest.len());
        let unit = unit(&rest[..len])?;
        out.push_str(&number);
        out.push_str(&unit);
        rest = rest[len..].trim_start();
        if rest.is_empty() {
            return Some(out);
        }
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        // `一共有17个` is no "one" with a unit: several parts are measures.
        if !UNITS.iter().any(|(_, known)| unit.contains(known)) {
            return None;
        }
        out.push(' ');
    }
    None
}

fn unit(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 10 {
        return None;
    }
    let name = |word: &str| {
        let word = word.trim_start_matches('每');
        let known = UNITS.iter().find(|(name, _)| *name == word);
        match known {
            Some((_, unit)) => Some((*unit).to_owned()),
            None if UNREAD.iter().any(|unread| word.contains(unread)) => None,
            None if word.starts_with(is_numeral) => None,
            None if word.chars().any(char::is_alphabetic) => Some(word.to_owned()),
            None => None,
        }
    };
    let parts: Option<Vec<String>> = text.split('/').map(name).collect();
    Some(format!(r"\text{{ {}}}", parts?.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_chinese() {
        for (text, wanted) in [
            ("二十五", "25"),
            ("十", "10"),
            ("一百零五", "105"),
            ("三万两千", "32000"),
            ("负三", "-3"),
            ("三点一四", "3.14"),
            ("四分之三", r"\frac{3}{4}"),
            ("百分之八", r"8\%"),
            ("3根号5", r"3 \sqrt{5}"),
            ("二分之根号三", r"\frac{\sqrt{3}}{2}"),
            ("2又1/3", "(2 + 1/3)"),
            ("5万", r"5 \cdot 10^{4}"),
            ("6千克", r"6\text{ kg}"),
            ("12元", r"12\text{ yuan}"),
            ("3小时20分钟", r"3\text{ hours} 20\text{ minutes}"),
            ("60千米/小时", r"60\text{ km/hours}"),
            ("x=1或x=4", r"x=1 \text{ or } x=4"),
        ] {
            assert_eq!(reword(text).as_deref(), Some(wanted), "{text}");
        }
        for text in ["北京", "五六", "两千三", "不是5", "5成", "十十"] {
            assert_eq!(reword(text), None, "{text}");
        }
    }
}
