package testbed

import "strings"

// clusterSlots is the number of slots of every Redis Cluster.
const clusterSlots = 16384

// Slot returns the slot of a key in a Redis Cluster. It is computed from the part in the first
// braces, the hash tag, if that is not empty, and from the whole key otherwise.
func Slot(key string) int {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			key = tag
		}
	}
	return int(crc16(key)) % clusterSlots
}

// crc16 is the variant of the Redis Cluster specification, also called XMODEM.
func crc16(text string) uint16 {
	var crc uint16
	for _, b := range []byte(text) {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= 0x1021
			}
		}
	}
	return crc
}
