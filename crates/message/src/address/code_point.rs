//! Which code points a local part may hold in transit, and the two joiners in their contexts (RFC 5892 appendix A).

use icu_properties::props::{
    CanonicalCombiningClass, DefaultIgnorableCodePoint, GeneralCategory, JoiningType, NoncharacterCodePoint,
};
use icu_properties::{CodePointMapData, CodePointSetData};

pub(super) const ZERO_WIDTH_NON_JOINER: char = '\u{200C}';
pub(super) const ZERO_WIDTH_JOINER: char = '\u{200D}';

/// The first character that no local part may hold, or not at that place.
///
/// Unassigned code points pass, unless Unicode has promised what they will be (noncharacters, and the ranges kept for
/// default-ignorables): the tables of two peers differ in age, and a message must not depend on the older of them.
///
/// keeps: ADDR-7, ADDR-8, ADDR-9
pub(super) fn first_forbidden_in_transit(text: &str) -> Option<char> {
    text.char_indices().find_map(|(at, character)| {
        let permitted = match character {
            '.' => true,
            _ if character.is_ascii() => is_atext(character),
            ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER => joiner_in_context(text, at, character),
            _ => permitted_in_transit(character),
        };
        (!permitted).then_some(character)
    })
}

/// `atext` of RFC 5321, which it takes from RFC 5322 section 3.2.3.
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character)
}

fn permitted_in_transit(character: char) -> bool {
    use GeneralCategory as Category;
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    let invisible = matches!(
        category,
        Category::Control
            | Category::Format
            | Category::Surrogate
            | Category::PrivateUse
            | Category::SpaceSeparator
            | Category::LineSeparator
            | Category::ParagraphSeparator
    );
    let replacement = matches!(character, '\u{FFFC}' | '\u{FFFD}');
    !invisible && !replacement && !is_ignorable(character)
}

/// PrecisIgnorableProperties of RFC 8264 section 9.13: default-ignorable or a noncharacter.
pub(super) fn is_ignorable(character: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(character)
}

/// Whether the joiner that stands at this octet has the neighbours that RFC 5892 appendix A.1 (ZWNJ) or A.2 (ZWJ)
/// asks for.
pub(super) fn joiner_in_context(text: &str, at: usize, joiner: char) -> bool {
    let before = &text[..at];
    let after = &text[at + joiner.len_utf8()..];
    follows_virama(before) || (joiner == ZERO_WIDTH_NON_JOINER && breaks_a_cursive_join(before, after))
}

fn follows_virama(before: &str) -> bool {
    let classes = CodePointMapData::<CanonicalCombiningClass>::new();
    before.chars().next_back().is_some_and(|last| classes.get(last) == CanonicalCombiningClass::Virama)
}

/// `(Joining_Type:{L,D})(Joining_Type:T)*\u200C(Joining_Type:T)*(Joining_Type:{R,D})`
fn breaks_a_cursive_join(before: &str, after: &str) -> bool {
    let types = CodePointMapData::<JoiningType>::new();
    let opaque = |kind: &JoiningType| *kind != JoiningType::Transparent;
    let left = before.chars().rev().map(|character| types.get(character)).find(opaque);
    let right = after.chars().map(|character| types.get(character)).find(opaque);
    matches!(left, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(right, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}
