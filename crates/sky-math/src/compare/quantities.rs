//! Values with units: products with dimensions, compound quantities, and what may be left out.

use dashu_ratio::RBig;

use super::{
    Comparer, Comparison,
    kind_name::describe,
    letters_as_units::letters_as_units,
    quantity::{Quantity, counted, quantity, scaled},
};
use crate::{
    expr::{Expr, Kind, Rel, map},
    units::{self, Unit},
};

impl Comparer<'_> {
    /// A unit on either side; `None` when there is none.
    pub(super) fn quantities(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        let (x, y) = (quantity(a), quantity(b));
        match (x, y) {
            (None, None) => self.letters_on_both_sides(a, b),
            (Some(x), Some(y)) => Some(self.two_quantities(&x, &y)),
            (Some(x), None) => Some(self.quantity_and_bare_value(&x, b, true)),
            (None, Some(y)) => Some(self.quantity_and_bare_value(&y, a, false)),
        }
    }

    /// `1 N*m` and `1 J`, which no unit word tells from products of names: equal when they are so as
    /// quantities of one dimension. `None` when that is not so, or when the names are the same,
    /// which a comparison of the values decides.
    fn letters_on_both_sides(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        let product = |e: &Expr| matches!(e.kind, Kind::Mul(_) | Kind::Div(..) | Kind::Neg(_));
        if self.nested || !product(a) || !product(b) || !self.options.units_optional {
            return None;
        }
        let (x, y) = (letters_as_units(a)?, letters_as_units(b)?);
        if x.unit.dimension != y.unit.dimension || x.unit.size == y.unit.size && a == b {
            return None;
        }
        Some(self.two_quantities(&x, &y)).filter(|judged| judged.equal)
    }

    /// A quantity against something without a unit.
    fn quantity_and_bare_value(&self, one: &Quantity, bare: &Expr, first: bool) -> Comparison {
        let unit = &one.unit;
        let (a, b) = if first {
            (&one.value, bare)
        } else {
            (bare, &one.value)
        };
        let only = |base| unit.dimension.len() == 1 && unit.dimension.get(base) == Some(&1);
        // A temperature may leave its scale out; an angle in degrees and one in radians are both
        // without a dimension.
        if let Kind::Degree(inner) = &bare.kind
            && (only("celsius") || only("fahrenheit"))
        {
            return self.compare(&one.value, inner);
        }
        // `90` radians are not 90 degrees.
        if matches!(bare.kind, Kind::Degree(_)) && only("rad") && one.parts.is_empty() {
            let radians = scaled(&counted(one), &unit.size);
            return match first {
                true => self.scalars(&radians, bare),
                false => self.scalars(bare, &radians),
            };
        }
        let marked = matches!(one.value.kind, Kind::Percent(_) | Kind::Degree(_));
        if matches!(bare.kind, Kind::Percent(_) | Kind::Degree(_))
            && !marked
            && unit.is_known()
            && !only("rad")
        {
            return Comparison::no(describe(a, b));
        }
        // `500 g`, whose letter reads as a name.
        if let Some(letters_as_units) =
            letters_as_units(bare).filter(|l| l.unit.dimension == unit.dimension)
        {
            return match first {
                true => self.two_quantities(one, &letters_as_units),
                false => self.two_quantities(&letters_as_units, one),
            };
        }
        if !unit.qualifier.is_empty() {
            if let Some((rel, limit)) = limit(unit, one)
                && let Kind::Relation(_, rest) = &bare.kind
                && let [(other, side)] = rest.as_slice()
                && *other == rel
            {
                return self.compare(&limit, side);
            }
            return Comparison::no(format!("\"{}\" is said on one side only", unit.qualifier));
        }
        if !self.options.units_optional && unit.is_named() {
            return Comparison::no("a unit is missing on one side");
        }
        let against = |value: &Expr| {
            let (a, b) = if first { (value, bare) } else { (bare, value) };
            self.compare(a, b)
        };
        if one.parts.is_empty() {
            return against(&counted(one));
        }
        // `2 hours 30 minutes` without a unit is 2.5 or 150.
        let mut judged = Comparison::no("a compound quantity against another number");
        for size in &one.parts {
            judged = against(&scaled(&one.value, &(RBig::ONE / size.clone())));
            if judged.equal {
                break;
            }
        }
        judged
    }

    fn two_quantities(&self, x: &Quantity, y: &Quantity) -> Comparison {
        let (u, v) = (&x.unit, &y.unit);
        if u.qualifier != v.qualifier {
            return Comparison::no(format!("\"{}\" against \"{}\"", u.qualifier, v.qualifier));
        }
        let sterling = pounds(u) && v.dimension.contains_key("GBP")
            || pounds(v) && u.dimension.contains_key("GBP");
        if u.dimension != v.dimension && !sterling {
            // A count that names nothing, or `5 units`.
            let open = |w: &Unit| !w.is_known() && w.nouns.is_empty();
            if !(open(u) || open(v)) || !self.options.units_optional {
                return Comparison::no("the units measure different things");
            }
            return self.compare(&counted(x), &counted(y));
        }
        if !u.counts_the_same(v) {
            return Comparison::no(format!(
                "different things are counted: {} and {}",
                u.nouns.join(" "),
                v.nouns.join(" ")
            ));
        }
        if sterling || u.size == v.size && x.parts.is_empty() && y.parts.is_empty() {
            return self.compare(&counted(x), &counted(y));
        }
        let judged = self.scalars(&scaled(&counted(x), &u.size), &scaled(&counted(y), &v.size));
        Comparison {
            why: format!("in one unit: {}", judged.why),
            ..judged
        }
    }

    /// Both trees with the quantities inside replaced by values in base units; `None` when nothing
    /// is to be done, an error when they cannot be compared.
    pub(super) fn in_base_units(
        &self,
        a: &Expr,
        b: &Expr,
    ) -> Option<Result<(Expr, Expr), Comparison>> {
        let (mut in_a, mut in_b) = (Vec::new(), Vec::new());
        collect_units(a, &mut in_a);
        collect_units(b, &mut in_b);
        let first = in_a.first().or(in_b.first())?;
        let one_sided = in_a.is_empty() || in_b.is_empty();
        let same = in_a
            .iter()
            .chain(&in_b)
            .all(|u| u.dimension == first.dimension && u.qualifier == first.qualifier);
        if !same || one_sided && !self.options.units_optional {
            return Some(Err(Comparison::no("the units measure different things")));
        }
        // In one unit on both sides the numbers stay as they were written.
        let sizes_differ = in_a.iter().chain(&in_b).any(|u| u.size != first.size);
        let put = |e: &Expr| {
            let Kind::Quantity(value, unit) = &e.kind else {
                return None;
            };
            let unit = units::read(unit);
            let size = if sizes_differ {
                unit.size.clone()
            } else {
                RBig::ONE
            };
            Some(scaled(value, &(size * unit.scale)))
        };
        Some(Ok((map(a, &put), map(b, &put))))
    }
}

/// `x \le 5` that `5 or less` says.
fn limit(unit: &Unit, one: &Quantity) -> Option<(Rel, Expr)> {
    let rel = match unit.qualifier.as_str() {
        "at most" => Rel::Le,
        "at least" => Rel::Ge,
        _ => return None,
    };
    Some((rel, counted(one)))
}

/// "pounds" may be money. The number is the mass of one in kilograms.
fn pounds(unit: &Unit) -> bool {
    let mass = unit.dimension.len() == 1 && unit.dimension.get("kg") == Some(&1);
    mass && unit.size == RBig::from_parts(45_359_237.into(), 100_000_000_u32.into())
}

fn collect_units(expr: &Expr, units: &mut Vec<Unit>) {
    if let Kind::Quantity(_, unit) = &expr.kind {
        units.push(units::read(unit));
    }
    expr.children(&mut |child| collect_units(child, units));
}
