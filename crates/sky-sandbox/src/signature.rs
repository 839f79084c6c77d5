//! What a problem says about the function or class that is called: which arguments and results are
//! LeetCode's linked lists and trees, which JSON has as lists of values.

use std::collections::BTreeMap;

use serde::Serialize;

/// A function, or a class with its methods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// Whether the name that is called is a class. Then there are two arguments: the names of the
    /// calls, the class's own first, and the arguments of each.
    pub is_class: bool,
    /// By name; a class's constructor is `__init__`.
    pub methods: BTreeMap<String, Method>,
}

/// One function or method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Method {
    /// In order, without `self`.
    pub parameters: Vec<Parameter>,
    /// What is returned; none where the answer is the first argument, as the function leaves it.
    pub returns: Option<Shape>,
}

/// A parameter of a [`Method`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// As the starter code has it.
    pub name: String,
    /// What its argument is built as.
    pub shape: Shape,
}

/// A kind of value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// As JSON has it.
    Plain,
    /// `ListNode`: a list of its values in order; an empty one is `None`.
    ListNode,
    /// `TreeNode`: its values level by level, null for a missing child, nothing below that.
    TreeNode,
    /// A list of these.
    List(Box<Self>),
}
