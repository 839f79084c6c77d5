//! The tree that a text parses to.

mod traversal;

use std::ops::Range;

use dashu_ratio::RBig;

pub(crate) use traversal::map;

/// Where a node stands, in bytes of the cleaned text.
pub(crate) type Span = Range<usize>;

/// A node of the tree with its place.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

impl PartialEq for Expr {
    /// Trees are equal when they say the same; where they stood does not matter.
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// Constants with a value, and the few sets that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Const {
    Pi,
    E,
    I,
    Infinity,
    Reals,
    Integers,
    Naturals,
    Rationals,
    Complexes,
    Empty,
}

/// Functions with a fixed meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Func {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Asin,
    Acos,
    Atan,
    Acot,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Exp,
    Ln,
    Abs,
    Floor,
    Ceil,
    Factorial,
    DoubleFactorial,
    Binomial,
    /// `Log(base, x)`.
    Log,
    Mod,
    /// `Residue(a, m)`: a class modulo m, `3 \pmod 7`.
    Residue,
    Gcd,
    Lcm,
    Max,
    Min,
    Re,
    Im,
    Conjugate,
    Arg,
    Sign,
    Det,
}

impl Func {
    /// Meant for integers: a name under it stands for one.
    pub(crate) fn takes_integers(self) -> bool {
        matches!(
            self,
            Self::Factorial
                | Self::DoubleFactorial
                | Self::Binomial
                | Self::Mod
                | Self::Residue
                | Self::Gcd
                | Self::Lcm
        )
    }
}

/// Operators with bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BigOp {
    Sum,
    Product,
    Integral,
    Limit,
}

/// How two sides relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rel {
    Eq,
    Approx,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
    Subset,
    /// To, implies, maps to: from left to right.
    Arrow,
    /// Congruent, similar, parallel and the like, by name: compared as written.
    Named(&'static str),
}

impl Rel {
    /// Whether it has no name when its sides are exchanged.
    pub(crate) fn is_one_way(self) -> bool {
        matches!(
            self,
            Self::In | Self::NotIn | Self::Subset | Self::Arrow | Self::Named("propto")
        )
    }

    /// The relation with its sides exchanged.
    pub(crate) fn flipped(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            other => other,
        }
    }
}

/// Operations on sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SetOp {
    Union,
    Intersection,
    Difference,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A literal; `decimals` is the number of digits after the point when it was written with one,
    /// counted after the exponent of ten is applied (so that half a unit of the last digit is the
    /// rounding error it admits).
    Num {
        value: RBig,
        decimals: Option<i64>,
    },
    Const(Const),
    Sym(String),
    Neg(Box<Expr>),
    Add(Vec<Expr>),
    Mul(Vec<Expr>),
    Div(Box<Expr>, Box<Expr>),
    Pow(Box<Expr>, Box<Expr>),
    /// `Root(n, x)`: the n-th root, real where there is a real one.
    Root(Box<Expr>, Box<Expr>),
    /// `a \pm b`; the flag is true for `\mp`.
    PlusMinus(Option<Box<Expr>>, Box<Expr>, bool),
    Call(Func, Vec<Expr>),
    /// A function or a sequence without a fixed meaning: `f(x)`, `F_{n-1}`.
    Apply(String, Vec<Expr>),
    Big {
        op: BigOp,
        var: String,
        lo: Option<Box<Expr>>,
        hi: Option<Box<Expr>>,
        body: Box<Expr>,
    },
    /// A numeral in a stated base.
    Based {
        digits: String,
        base: u32,
    },
    Percent(Box<Expr>),
    Degree(Box<Expr>),
    Quantity(Box<Expr>, String),
    /// Items parted by commas, without brackets.
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Set(Vec<Expr>),
    Interval {
        lo: Box<Expr>,
        hi: Box<Expr>,
        lo_open: bool,
        hi_open: bool,
    },
    Sets(SetOp, Vec<Expr>),
    Builder {
        var: Box<Expr>,
        condition: Box<Expr>,
    },
    Relation(Box<Expr>, Vec<(Rel, Expr)>),
    Matrix(Vec<Vec<Expr>>),
    Text(String),
}

impl Kind {
    pub(crate) fn at(self, span: Span) -> Expr {
        Expr { kind: self, span }
    }

    pub(crate) fn int(value: i64) -> Self {
        Self::Num {
            value: RBig::from(value),
            decimals: None,
        }
    }
}
