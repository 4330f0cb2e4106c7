//! The PRECIS IdentifierClass (RFC 8264) and its UsernameCaseMapped profile (RFC 8265 section 3.3).
//!
//! Written out here, from the algorithm and on the Unicode tables that the domain names use, since the tables of the
//! published crates stop at Unicode 6.3 and would call every later letter unassigned.

use icu_properties::CodePointMapData;
use icu_properties::props::{BidiClass, GeneralCategory, HangulSyllableType, Script};
use unicode_normalization::UnicodeNormalization;

use super::code_point::{ZERO_WIDTH_JOINER, ZERO_WIDTH_NON_JOINER, is_ignorable, joiner_in_context};

/// Enforces UsernameCaseMapped: the folded text, or nothing where the profile refuses the text.
///
/// Lower case is that of the standard library, so a letter that gained a case only in a Unicode version newer than
/// the compiler stays as it is.
pub(super) fn username_case_mapped(text: &str) -> Option<String> {
    let prepared = width_mapped(text);
    if !prepared.chars().all(is_identifier_code_point) {
        return None;
    }
    let folded: String = prepared.to_lowercase().nfc().collect();
    let valid = !folded.is_empty() && is_identifier(&folded) && keeps_bidi_rule(&folded);
    valid.then_some(folded)
}

/// What preparation asks (RFC 8265 section 3.3.2): code points alone. Their contexts are judged in the folded text, or
/// the Catalan `PARAL·LEL` would be refused, since the rule of the middle dot knows only the small `l`.
fn is_identifier_code_point(character: char) -> bool {
    use DerivedProperty as Property;
    matches!(derived_property(character), Property::Valid | Property::ContextJ | Property::ContextO)
}

/// Whether every code point is allowed by the IdentifierClass at its place. The empty text is.
pub(super) fn is_identifier(text: &str) -> bool {
    text.char_indices().all(|(at, character)| match derived_property(character) {
        DerivedProperty::Valid => true,
        DerivedProperty::ContextJ => joiner_in_context(text, at, character),
        DerivedProperty::ContextO => other_in_context(text, at, character),
        DerivedProperty::FreeformOnly | DerivedProperty::Disallowed | DerivedProperty::Unassigned => false,
    })
}

/// The derived property of a code point, RFC 8264 section 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DerivedProperty {
    /// PVALID.
    Valid,
    /// CONTEXTJ: the two joiners.
    ContextJ,
    /// CONTEXTO.
    ContextO,
    /// ID_DIS or FREE_PVAL.
    FreeformOnly,
    /// DISALLOWED.
    Disallowed,
    /// UNASSIGNED.
    Unassigned,
}

/// The algorithm of RFC 8264 section 8, whose order is part of it. A noncharacter is no unassigned code point
/// (RFC 5892 section 2.10).
pub(super) fn derived_property(character: char) -> DerivedProperty {
    use GeneralCategory as Category;
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    if let Some(exception) = exception(character) {
        return exception;
    }
    if category == Category::Unassigned && !is_noncharacter(character) {
        return DerivedProperty::Unassigned;
    }
    if character.is_ascii_graphic() {
        return DerivedProperty::Valid;
    }
    if matches!(character, ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER) {
        return DerivedProperty::ContextJ;
    }
    if is_old_hangul_jamo(character) || is_ignorable(character) || category == Category::Control {
        return DerivedProperty::Disallowed;
    }
    if has_compatibility_form(character) {
        return DerivedProperty::FreeformOnly;
    }
    match category {
        Category::LowercaseLetter
        | Category::UppercaseLetter
        | Category::OtherLetter
        | Category::DecimalNumber
        | Category::ModifierLetter
        | Category::NonspacingMark
        | Category::SpacingMark => DerivedProperty::Valid,
        Category::TitlecaseLetter
        | Category::LetterNumber
        | Category::OtherNumber
        | Category::EnclosingMark
        | Category::SpaceSeparator
        | Category::MathSymbol
        | Category::CurrencySymbol
        | Category::ModifierSymbol
        | Category::OtherSymbol
        | Category::ConnectorPunctuation
        | Category::DashPunctuation
        | Category::OpenPunctuation
        | Category::ClosePunctuation
        | Category::InitialPunctuation
        | Category::FinalPunctuation
        | Category::OtherPunctuation => DerivedProperty::FreeformOnly,
        _ => DerivedProperty::Disallowed,
    }
}

/// RFC 5892 section 2.6.
fn exception(character: char) -> Option<DerivedProperty> {
    match character {
        '\u{00DF}' | '\u{03C2}' | '\u{06FD}' | '\u{06FE}' | '\u{0F0B}' | '\u{3007}' => {
            Some(DerivedProperty::Valid)
        }
        '\u{00B7}' | '\u{0375}' | '\u{05F3}' | '\u{05F4}' | '\u{30FB}' => Some(DerivedProperty::ContextO),
        '\u{0660}'..='\u{0669}' | '\u{06F0}'..='\u{06F9}' => Some(DerivedProperty::ContextO),
        '\u{0640}' | '\u{07FA}' | '\u{302E}' | '\u{302F}' | '\u{3031}'..='\u{3035}' | '\u{303B}' => {
            Some(DerivedProperty::Disallowed)
        }
        _ => None,
    }
}

fn is_noncharacter(character: char) -> bool {
    matches!(character, '\u{FDD0}'..='\u{FDEF}') || u32::from(character) & 0xFFFE == 0xFFFE
}

/// RFC 5892 section 2.9.
fn is_old_hangul_jamo(character: char) -> bool {
    matches!(
        CodePointMapData::<HangulSyllableType>::new().get(character),
        HangulSyllableType::LeadingJamo | HangulSyllableType::VowelJamo | HangulSyllableType::TrailingJamo
    )
}

/// HasCompat, RFC 8264 section 9.17: `toNFKC(cp) != cp`.
fn has_compatibility_form(character: char) -> bool {
    let mut form = [character].into_iter().nfkc();
    form.next() != Some(character) || form.next().is_some()
}

/// The Width Mapping Rule. Every code point of `<wide>` or `<narrow>` decomposition is in these two places; where the
/// full decomposition goes further than the mapping (halfwidth Hangul, the macron), both results are refused alike.
fn width_mapped(text: &str) -> String {
    let mut mapped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{3000}' | '\u{FF00}'..='\u{FFEF}' => mapped.extend([character].into_iter().nfkc()),
            _ => mapped.push(character),
        }
    }
    mapped
}

/// The CONTEXTO rules, RFC 5892 appendices A.3 to A.9.
fn other_in_context(text: &str, at: usize, character: char) -> bool {
    let scripts = CodePointMapData::<Script>::new();
    let before = text[..at].chars().next_back();
    let after = text[at + character.len_utf8()..].chars().next();
    match character {
        '\u{00B7}' => before == Some('l') && after == Some('l'),
        '\u{0375}' => after.is_some_and(|next| scripts.get(next) == Script::Greek),
        '\u{05F3}' | '\u{05F4}' => before.is_some_and(|last| scripts.get(last) == Script::Hebrew),
        '\u{30FB}' => text
            .chars()
            .any(|other| matches!(scripts.get(other), Script::Hiragana | Script::Katakana | Script::Han)),
        '\u{0660}'..='\u{0669}' => !text.chars().any(|other| matches!(other, '\u{06F0}'..='\u{06F9}')),
        '\u{06F0}'..='\u{06F9}' => !text.chars().any(|other| matches!(other, '\u{0660}'..='\u{0669}')),
        _ => false,
    }
}

/// The Bidi Rule, RFC 5893 section 2, for text that holds right-to-left code points; other text always passes.
fn keeps_bidi_rule(text: &str) -> bool {
    use BidiClass as Class;
    let classes = CodePointMapData::<BidiClass>::new();
    let class = |character: char| classes.get(character);
    let has = |wanted: BidiClass| text.chars().any(|character| class(character) == wanted);
    if !has(Class::RightToLeft) && !has(Class::ArabicLetter) && !has(Class::ArabicNumber) {
        return true;
    }
    // Condition 5 forbids R, AL and AN in left-to-right text, so only text that starts right-to-left is left to pass.
    let starts = text.chars().next().map(class);
    let end = text.chars().rev().map(class).find(|last| *last != Class::NonspacingMark);
    let only_permitted = text.chars().map(class).all(|each| {
        matches!(
            each,
            Class::RightToLeft
                | Class::ArabicLetter
                | Class::ArabicNumber
                | Class::EuropeanNumber
                | Class::EuropeanSeparator
                | Class::CommonSeparator
                | Class::EuropeanTerminator
                | Class::OtherNeutral
                | Class::BoundaryNeutral
                | Class::NonspacingMark
        )
    });
    matches!(starts, Some(Class::RightToLeft | Class::ArabicLetter))
        && only_permitted
        && matches!(
            end,
            Some(Class::RightToLeft | Class::ArabicLetter | Class::EuropeanNumber | Class::ArabicNumber)
        )
        && !(has(Class::EuropeanNumber) && has(Class::ArabicNumber))
}

#[cfg(test)]
mod tests;
