//! Names and things for word problems. A thing has a singular and a plural.

pub(crate) const NAMES: [&str; 40] = [
    "Ada", "Amir", "Bela", "Bruno", "Carla", "Chen", "Dina", "Diego", "Elif", "Emil", "Farah",
    "Felix", "Greta", "Hana", "Hugo", "Ines", "Ivan", "Jonas", "Kaya", "Kofi", "Lena", "Luis",
    "Maya", "Milo", "Nadia", "Nils", "Olga", "Omar", "Petra", "Priya", "Rosa", "Sami", "Selma",
    "Tariq", "Tess", "Uma", "Viktor", "Wanda", "Yusuf", "Zoe",
];

pub(crate) const THINGS: [(&str, &str); 32] = [
    ("apple", "apples"),
    ("badge", "badges"),
    ("ball", "balls"),
    ("bead", "beads"),
    ("book", "books"),
    ("button", "buttons"),
    ("candle", "candles"),
    ("card", "cards"),
    ("coin", "coins"),
    ("cookie", "cookies"),
    ("cup", "cups"),
    ("flower", "flowers"),
    ("hat", "hats"),
    ("kite", "kites"),
    ("lemon", "lemons"),
    ("letter", "letters"),
    ("marble", "marbles"),
    ("muffin", "muffins"),
    ("nut", "nuts"),
    ("orange", "oranges"),
    ("pear", "pears"),
    ("pen", "pens"),
    ("photo", "photos"),
    ("plate", "plates"),
    ("ribbon", "ribbons"),
    ("rock", "rocks"),
    ("shell", "shells"),
    ("stamp", "stamps"),
    ("sticker", "stickers"),
    ("ticket", "tickets"),
    ("toy", "toys"),
    ("tulip", "tulips"),
];

/// What things come in.
pub(crate) const CONTAINERS: [(&str, &str); 10] = [
    ("bag", "bags"),
    ("basket", "baskets"),
    ("box", "boxes"),
    ("bowl", "bowls"),
    ("crate", "crates"),
    ("drawer", "drawers"),
    ("jar", "jars"),
    ("packet", "packets"),
    ("shelf", "shelves"),
    ("tray", "trays"),
];
