// Package config makes one checked value of flags, environment, .env file, settings file and defaults, in this order of
// rank. Each setting is declared once, in settings.go, with its name, flag, default, help and bounds; the docs and `config`
// are made from that list. All faults are reported at once: name, value, what is allowed. A name with one of our prefixes that
// no setting has is a fault too, since it is a misspelt one.
package config
