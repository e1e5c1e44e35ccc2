//! Values that must not be read from a log or a panic's message: secrets, and addresses of people.

/// Implements `Debug` by the name of the type alone, as in `Code(..)`.
macro_rules! hidden {
    ($type:ident) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(..)"))
            }
        }
    };
}
pub(crate) use hidden;
