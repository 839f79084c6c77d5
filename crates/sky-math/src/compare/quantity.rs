//! A value with its unit: how one is taken out of a tree.

use dashu_ratio::RBig;

use crate::{
    expr::{Expr, Kind},
    units::{self, Unit},
};

/// A value with its unit taken out of the tree.
pub(super) struct Quantity {
    pub(super) value: Expr,
    pub(super) unit: Unit,
    /// Sizes of the units of `2 hours 30 minutes`, whose value is in base units; empty for a single
    /// unit.
    pub(super) parts: Vec<RBig>,
}

fn number(value: RBig) -> Expr {
    Kind::Num {
        value,
        decimals: None,
    }
    .at(0..0)
}

pub(super) fn scaled(value: &Expr, factor: &RBig) -> Expr {
    if *factor == RBig::ONE {
        return value.clone();
    }
    Kind::Mul(vec![value.clone(), number(factor.clone())]).at(value.span.clone())
}

/// The number that is counted: `3 million` is 3,000,000, `5 squared` is 25.
pub(super) fn counted(one: &Quantity) -> Expr {
    let value = match one.unit.power {
        1 => one.value.clone(),
        n => Kind::Pow(
            Box::new(one.value.clone()),
            Box::new(Kind::int(n.into()).at(0..0)),
        )
        .at(0..0),
    };
    scaled(&value, &one.unit.scale)
}

/// The value and the unit of a tree in which quantities are added, multiplied and divided; `None`
/// without a unit.
pub(super) fn quantity(expr: &Expr) -> Option<Quantity> {
    if !expr.any(&|k| matches!(k, Kind::Quantity(..))) {
        return None;
    }
    let single = |value: Kind, unit: Unit| Quantity {
        value: value.at(expr.span.clone()),
        unit,
        parts: Vec::new(),
    };
    match &expr.kind {
        Kind::Quantity(value, text) => {
            let unit = units::read(text);
            Some(match quantity(value) {
                // `\$3 \text{ million}`, and `\$3 \text{ dollars}`, which says it twice.
                Some(inner) => Quantity {
                    unit: if inner.unit.dimension == unit.dimension && inner.unit.size == unit.size
                    {
                        inner.unit.times(
                            &Unit {
                                size: RBig::ONE,
                                dimension: [].into(),
                                ..unit
                            },
                            1,
                        )
                    } else {
                        inner.unit.times(&unit, 1)
                    },
                    ..inner
                },
                None => single(value.kind.clone(), unit),
            })
        }
        Kind::Neg(inner) => {
            let inner = quantity(inner)?;
            Some(Quantity {
                value: Kind::Neg(Box::new(inner.value)).at(expr.span.clone()),
                ..inner
            })
        }
        Kind::Add(items) => sum(expr, items),
        Kind::Mul(items) => {
            let mut unit = None;
            let mut values = Vec::new();
            for item in items {
                match quantity(item) {
                    Some(part) if part.parts.is_empty() => {
                        unit = Some(unit.unwrap_or_else(Unit::none).times(&part.unit, 1));
                        values.push(part.value);
                    }
                    Some(_) => return None,
                    None => values.push(item.clone()),
                }
            }
            Some(single(Kind::Mul(values), unit?))
        }
        Kind::Div(above, below) => {
            let (top, bottom) = (quantity(above), quantity(below));
            if top.is_none() && bottom.is_none() {
                return None;
            }
            let part = |part: Option<Quantity>, plain: &Expr| match part {
                Some(part) => (part.value, part.unit),
                None => (plain.clone(), Unit::none()),
            };
            let ((x, u), (y, v)) = (part(top, above), part(bottom, below));
            Some(single(Kind::Div(Box::new(x), Box::new(y)), u.times(&v, -1)))
        }
        _ => None,
    }
}

/// `2 \text{ hours} + 30 \text{ minutes}`, `3 + 5 \text{ cm}`: terms without a unit have that of
/// the others.
fn sum(expr: &Expr, items: &[Expr]) -> Option<Quantity> {
    let parts: Vec<Option<Quantity>> = items.iter().map(quantity).collect();
    let first = parts.iter().flatten().next()?.unit.clone();
    let same = |unit: &Unit| unit.dimension == first.dimension;
    let mut qualifier = first.qualifier.clone();
    if !parts.iter().flatten().all(|p| same(&p.unit)) {
        "of different units".clone_into(&mut qualifier);
    }
    let mixed = parts.iter().flatten().any(|p| p.unit.size != first.size);
    let mut sizes = Vec::new();
    let mut values = Vec::new();
    for (item, part) in items.iter().zip(parts) {
        match part {
            Some(part) if mixed => {
                sizes.push(part.unit.size.clone());
                values.push(scaled(&counted(&part), &part.unit.size));
            }
            Some(part) => values.push(counted(&part)),
            None if mixed => return None,
            None => values.push(item.clone()),
        }
    }
    let size = if mixed { RBig::ONE } else { first.size.clone() };
    Some(Quantity {
        value: Kind::Add(values).at(expr.span.clone()),
        unit: Unit {
            size,
            qualifier,
            scale: RBig::ONE,
            power: 1,
            ..first
        },
        parts: sizes,
    })
}
