//! Emoji in names: taken out before a name is normalized and compared with the rules for letters, and put
//! back after.

/// A symbol that PRECIS leaves as it is. It stands for each emoji that was taken out, and is itself an emoji,
/// so a name cannot have it otherwise.
const PLACEHOLDER: char = '\u{2603}';

/// Emoji sequences recommended for general interchange (UTS 51, RGI set), without selectors and skin tones,
/// each between two line ends.
const SEQUENCES: &str = include_str!(concat!(env!("OUT_DIR"), "/emoji.txt"));

/// The text with a placeholder for each emoji, and the emoji in order. Only whole sequences of the RGI set
/// are taken out; other text stays as it is.
pub(crate) fn take_out(text: &str) -> (String, Vec<&str>) {
    let (mut rest, mut emoji) = (String::new(), Vec::new());
    let mut unread = text;
    while let Some(char) = unread.chars().next() {
        let len = sequence_len(unread);
        let Some((first, others)) = unread.split_at_checked(len.max(char.len_utf8())) else { break };
        if len > 0 {
            emoji.push(first);
            rest.push(PLACEHOLDER);
        } else {
            rest.push(char);
        }
        unread = others;
    }
    (rest, emoji)
}

/// The text with its emoji instead of their placeholders.
pub(crate) fn put_back(text: &str, emoji: &[&str]) -> String {
    let mut emoji = emoji.iter();
    let mut whole = String::new();
    for char in text.chars() {
        match char {
            PLACEHOLDER => whole.push_str(emoji.next().copied().unwrap_or_default()),
            char => whole.push(char),
        }
    }
    whole
}

/// The length in bytes of the emoji at the start of a text; zero if it does not start with one.
fn sequence_len(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    let Some((_, first)) = chars.next() else { return 0 };
    let is_marked = chars.peek().is_some_and(|&(_, next)| is_modifier(next) || next == JOINER);
    // Older symbols without a selector are ordinary characters, as they always were.
    if first < FIRST_PICTOGRAPH && first != PLACEHOLDER && !is_marked {
        return 0;
    }
    let mut base = String::from(first);
    let mut may_pair = is_regional_indicator(first);
    while let Some(&(_, next)) = chars.peek() {
        let is_joined = base.ends_with(JOINER);
        let is_pair = std::mem::take(&mut may_pair) && is_regional_indicator(next);
        if !is_modifier(next) {
            if !(is_joined || is_pair || next == JOINER || is_tag(next) || next == KEYCAP) {
                break;
            }
            base.push(next);
        }
        chars.next();
    }
    let len = chars.peek().map_or(text.len(), |&(at, _)| at);
    if SEQUENCES.contains(&format!("\n{base}\n")) { len } else { 0 }
}

/// Variation selectors 15 and 16, and skin tones: they change how an emoji is drawn, not what it shows.
const fn is_modifier(char: char) -> bool {
    matches!(char, '\u{fe0e}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

const fn is_regional_indicator(char: char) -> bool {
    matches!(char, '\u{1f1e6}'..='\u{1f1ff}')
}

/// Tags spell the subdivision of a flag.
const fn is_tag(char: char) -> bool {
    matches!(char, '\u{e0020}'..='\u{e007f}')
}

const JOINER: char = '\u{200d}';
const KEYCAP: char = '\u{20e3}';
/// From here on Unicode has its blocks of pictographs.
const FIRST_PICTOGRAPH: char = '\u{1f000}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_emoji_are_taken_out_and_put_back() {
        let rows: [(&str, &[&str]); 20] = [
            ("ada", &[]),
            ("ada 🐙", &["🐙"]),
            ("🦉", &["🦉"]),
            ("🫠🫡", &["🫠", "🫡"]),
            ("❤", &[]),
            ("❤️ada", &["❤️"]),
            ("☃", &["☃"]),
            ("👍🏽", &["👍🏽"]),
            ("👩‍🚀", &["👩‍🚀"]),
            ("👩🏾‍🚀x", &["👩🏾‍🚀"]),
            ("👨‍👩‍👧‍👦", &["👨‍👩‍👧‍👦"]),
            ("🧑🏻‍🤝‍🧑🏿", &["🧑🏻‍🤝‍🧑🏿"]),
            ("🏳️‍🌈", &["🏳️‍🌈"]),
            ("🇨🇭🇫🇷", &["🇨🇭", "🇫🇷"]),
            (
                "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
                &["🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}"],
            ),
            ("1️⃣", &["1️⃣"]),
            // No sequences of the RGI set.
            ("🐙\u{200d}🐙", &["🐙"]),
            ("a\u{200d}b", &[]),
            ("🇦🇦", &[]),
            ("x\u{fe0f}", &[]),
        ];
        for (text, expected) in rows {
            let (rest, emoji) = take_out(text);
            assert_eq!(emoji, expected, "{text:?}");
            assert_eq!(put_back(&rest, &emoji), text);
        }
    }
}
