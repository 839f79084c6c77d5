/// What a percent sign does to a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Percent {
    /// `20%` is a fifth, and nothing else.
    Hundredth,
    /// `20%` is a fifth, and a bare `20` for a gold of `20%` (or the other way round) counts too.
    #[default]
    HundredthOrBare,
}

/// The conventions on which graders differ. Each is described with an example in
/// `docs/math-conventions.md`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Options {
    /// `x = 5` for a gold of `5`, and the other way round.
    pub assignment_is_value: bool,
    /// `5 \text{ cm}` for a gold of `5`, and the other way round. Two stated units must agree
    /// either way.
    pub units_optional: bool,
    /// `36` for a gold of `36^\circ`.
    pub degrees_optional: bool,
    /// What a percent sign means.
    pub percent: Percent,
    /// A set for a relation and the other way round: `x < 2` and `(-\infty, 2)`.
    pub relation_as_set: bool,
    /// A list without brackets for a set, in any order, and for a tuple, in its order.
    pub bare_list: bool,
    /// An interval gold of two ends, both open, reads as a point too (and the other way round):
    /// they are written alike.
    pub point_or_interval: bool,
    /// Numerals in a base other than ten may leave the base out: `4343` for `4343_6`.
    pub base_optional: bool,
    /// `\log` without a base may be the decimal logarithm, when it is so on both sides; natural
    /// otherwise.
    pub decimal_log: bool,
    /// An exact answer counts for a decimal gold when it rounds to it, provided the gold has this
    /// many significant digits. `None`: a decimal gold is the exact number it writes.
    pub decimal_gold_digits: Option<u32>,
    /// A decimal answer of at least this many significant digits counts for a fraction that rounds
    /// to it: `0.3333333333` for a gold of `\frac13` at 10. `None`: an exact gold wants an exact
    /// answer.
    pub decimal_answer_digits: Option<u32>,
    /// Round numbers of both sides to this many decimals before comparing, as Math-Verify's
    /// `float_rounding` does.
    pub round_decimals: Option<u32>,
    /// Names and words compare without regard to case.
    pub ignore_case: bool,
    /// Work that one call may do, in steps of about one machine-word operation.
    pub budget: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            assignment_is_value: true,
            units_optional: true,
            degrees_optional: true,
            percent: Percent::default(),
            relation_as_set: true,
            bare_list: true,
            point_or_interval: true,
            base_optional: false,
            decimal_log: true,
            decimal_gold_digits: Some(3),
            decimal_answer_digits: None,
            round_decimals: None,
            ignore_case: true,
            budget: 2_000_000,
        }
    }
}

impl Options {
    /// Math-Verify 0.9.0's conventions where they differ from ours: numbers are compared after
    /// rounding to six decimals, and an interval is not taken for a relation
    /// (`allow_set_relation_comp` is off there).
    pub fn math_verify() -> Self {
        Self {
            relation_as_set: false,
            round_decimals: Some(6),
            decimal_gold_digits: None,
            ..Self::default()
        }
    }

    /// Nothing is optional: units, degree signs, percent signs, braces and `x =` have to be there
    /// when the gold has them.
    pub fn strict() -> Self {
        Self {
            assignment_is_value: false,
            units_optional: false,
            degrees_optional: false,
            percent: Percent::Hundredth,
            relation_as_set: false,
            bare_list: false,
            point_or_interval: false,
            base_optional: false,
            decimal_log: false,
            decimal_gold_digits: None,
            decimal_answer_digits: None,
            round_decimals: None,
            ignore_case: false,
            ..Self::default()
        }
    }
}
