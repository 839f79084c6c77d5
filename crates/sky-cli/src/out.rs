use std::{
    fmt,
    io::{self, Write},
};

/// Writes to standard output. A reader that has gone, such as `head`, is no error: what a program
/// does besides printing continues.
#[doc(hidden)]
pub fn write_out(text: fmt::Arguments<'_>) {
    let _ = io::stdout().write_fmt(text);
}

/// `print!` that does not mind a reader that has gone.
#[macro_export]
macro_rules! out {
    ($($text:tt)*) => { $crate::write_out(format_args!($($text)*)) };
}

/// `println!` that does not mind a reader that has gone.
#[macro_export]
macro_rules! outln {
    ($($text:tt)*) => { $crate::write_out(format_args!("{}\n", format_args!($($text)*))) };
}
