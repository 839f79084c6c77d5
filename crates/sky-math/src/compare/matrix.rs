//! Matrices that are still to be calculated: sums, products, powers, determinants.

use crate::{
    budget::Budget,
    expr::{Expr, Func, Kind},
};

/// Entries of a result at most.
const MAX_ENTRIES: usize = 400;

type Rows = Vec<Vec<Expr>>;

/// Both sides with their matrices multiplied out; `None` when nothing is to be done.
pub(super) fn calculated(a: &Expr, b: &Expr, budget: &Budget) -> Option<(Expr, Expr)> {
    let open = |e: &Expr| {
        let arithmetic = matches!(
            e.kind,
            Kind::Add(_)
                | Kind::Mul(_)
                | Kind::Neg(_)
                | Kind::Div(..)
                | Kind::Pow(..)
                | Kind::Call(Func::Det, _)
        );
        (arithmetic && e.any(&|k| matches!(k, Kind::Matrix(_))))
            .then(|| value(e, budget))
            .flatten()
    };
    let (x, y) = (open(a), open(b));
    if x.is_none() && y.is_none() {
        return None;
    }
    Some((
        x.unwrap_or_else(|| a.clone()),
        y.unwrap_or_else(|| b.clone()),
    ))
}

fn value(expr: &Expr, budget: &Budget) -> Option<Expr> {
    if let Kind::Call(Func::Det, args) = &expr.kind {
        return determinant(&rows(args.first()?, budget)?, budget);
    }
    rows(expr, budget).map(|rows| Kind::Matrix(rows).at(expr.span.clone()))
}

fn rows(expr: &Expr, budget: &Budget) -> Option<Rows> {
    match &expr.kind {
        Kind::Matrix(rows) => {
            let width = rows.first()?.len();
            (rows.iter().all(|r| r.len() == width) && width * rows.len() <= MAX_ENTRIES)
                .then(|| rows.clone())
        }
        Kind::Neg(inner) => scaled(&rows(inner, budget)?, &Kind::int(-1).at(0..0), budget),
        Kind::Div(above, below) if below.is_scalar() => {
            let one = Kind::int(1).at(0..0);
            let factor = Kind::Div(Box::new(one), below.clone()).at(0..0);
            scaled(&rows(above, budget)?, &factor, budget)
        }
        Kind::Add(items) => {
            let mut items = items.iter().map(|item| rows(item, budget));
            let first = items.next()??;
            items.try_fold(first, |total, next| {
                let next = next?;
                if total.len() != next.len() || total[0].len() != next[0].len() {
                    return None;
                }
                pay(total.iter().chain(&next).flatten(), 1, budget)?;
                Some(
                    total
                        .iter()
                        .zip(&next)
                        .map(|(x, y)| {
                            x.iter()
                                .zip(y)
                                .map(|(p, q)| add(vec![p.clone(), q.clone()]))
                                .collect()
                        })
                        .collect(),
                )
            })
        }
        Kind::Mul(items) => {
            let mut total: Option<Rows> = None;
            let mut factors = Vec::new();
            for item in items {
                // Numbers commute, matrices keep their order.
                if item.is_scalar() {
                    factors.push(item.clone());
                    continue;
                }
                let next = rows(item, budget)?;
                total = Some(match total {
                    None => next,
                    Some(sofar) => product(&sofar, &next, budget)?,
                });
            }
            let total = total?;
            if factors.is_empty() {
                return Some(total);
            }
            scaled(&total, &mul(factors), budget)
        }
        Kind::Pow(base, exponent) => {
            let Kind::Num { value, .. } = &exponent.kind else {
                return None;
            };
            let n = crate::exact::to_i64(value)
                .ok()
                .filter(|n| (1..=8).contains(n))?;
            let base = rows(base, budget)?;
            (1..n).try_fold(base.clone(), |total, _| product(&total, &base, budget))
        }
        _ => None,
    }
}

fn add(items: Vec<Expr>) -> Expr {
    Kind::Add(items).at(0..0)
}

fn mul(items: Vec<Expr>) -> Expr {
    Kind::Mul(items).at(0..0)
}

/// Pays for copying these entries `times` times.
fn pay<'a>(entries: impl Iterator<Item = &'a Expr>, times: usize, budget: &Budget) -> Option<()> {
    let nodes: usize = entries.map(Expr::size).sum();
    budget.take(nodes.saturating_mul(times) as u64 * 16).ok()
}

fn scaled(rows: &Rows, factor: &Expr, budget: &Budget) -> Option<Rows> {
    let entries = rows.len() * rows.first().map_or(0, Vec::len);
    pay(std::iter::once(factor), entries, budget)?;
    pay(rows.iter().flatten(), 1, budget)?;
    let scaled = |row: &Vec<Expr>| {
        row.iter()
            .map(|e| mul(vec![factor.clone(), e.clone()]))
            .collect()
    };
    Some(rows.iter().map(scaled).collect())
}

fn product(a: &Rows, b: &Rows, budget: &Budget) -> Option<Rows> {
    // Entries grow with every product: a few small matrices are all that answers need.
    let small =
        |m: &Rows| m.len() <= 4 && m[0].len() <= 4 && m.iter().flatten().all(|e| e.size() <= 200);
    if a[0].len() != b.len() || !small(a) || !small(b) {
        return None;
    }
    pay(a.iter().chain(b).flatten(), 4, budget)?;
    Some(
        a.iter()
            .map(|row| {
                (0..b[0].len())
                    .map(|j| {
                        add(row
                            .iter()
                            .zip(b)
                            .map(|(x, y)| mul(vec![x.clone(), y[j].clone()]))
                            .collect())
                    })
                    .collect()
            })
            .collect(),
    )
}

/// By expansion along the first row, up to four by four.
fn determinant(rows: &Rows, budget: &Budget) -> Option<Expr> {
    let n = rows.len();
    if n == 0 || n > 4 || rows.iter().any(|r| r.len() != n) {
        return None;
    }
    if n == 1 {
        return Some(rows[0][0].clone());
    }
    pay(rows.iter().flatten(), n, budget)?;
    let mut terms = Vec::new();
    for (j, entry) in rows[0].iter().enumerate() {
        let minor: Rows = rows[1..]
            .iter()
            .map(|row| {
                row.iter()
                    .enumerate()
                    .filter(|(k, _)| *k != j)
                    .map(|(_, e)| e.clone())
                    .collect()
            })
            .collect();
        let term = mul(vec![entry.clone(), determinant(&minor, budget)?]);
        terms.push(if j % 2 == 0 {
            term
        } else {
            Kind::Neg(Box::new(term)).at(0..0)
        });
    }
    Some(add(terms))
}
