//! Characters of Chinese, Japanese and Korean text, which has no spaces between words.

/// Whether a character is one of these scripts, or their punctuation.
pub(crate) fn is_cjk(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{11FF}'
        | '\u{2E80}'..='\u{303F}'
        | '\u{3040}'..='\u{30FF}'
        | '\u{3130}'..='\u{318F}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7AF}'
        | '\u{F900}'..='\u{FAFF}')
}

/// Powers of ten that multiply the digits before them.
pub(crate) fn is_scale(c: char) -> bool {
    matches!(c, '十' | '百' | '千' | '万' | '萬' | '亿' | '億')
}

/// Characters of a numeral in Chinese.
pub(crate) fn is_numeral(c: char) -> bool {
    is_scale(c)
        || matches!(
            c,
            '零' | '〇'
                | '一'
                | '二'
                | '两'
                | '三'
                | '四'
                | '五'
                | '六'
                | '七'
                | '八'
                | '九'
                | '点'
                | '分'
                | '之'
                | '又'
                | '负'
                | '根'
                | '号'
                | '倍'
                | '半'
        )
}

/// Full-width forms of ASCII, as Chinese and Japanese text has them, in their usual width.
pub(crate) fn halfwidth(text: &str) -> std::borrow::Cow<'_, str> {
    let wide = |c: char| matches!(c, '\u{FF01}'..='\u{FF5E}');
    if !text.contains(wide) {
        return std::borrow::Cow::Borrowed(text);
    }
    let narrow = |c: char| {
        if wide(c) {
            char::from_u32(c as u32 - 0xFEE0).unwrap_or(c)
        } else {
            c
        }
    };
    std::borrow::Cow::Owned(text.chars().map(narrow).collect())
}
