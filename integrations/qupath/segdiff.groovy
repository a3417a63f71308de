/**
 * Segment the selected annotations, or the whole image, with segdiff and bring the objects back as detections.
 *
 * Automate > Script editor, open this file, set what stands below, Run. segdiff must be installed
 * (`pip install segdiff`); it runs on this computer.
 */
import java.awt.geom.AffineTransform
import java.nio.file.Files
import java.util.zip.GZIPInputStream
import qupath.lib.images.servers.TransformedServerBuilder
import qupath.lib.io.PathIO
import qupath.lib.objects.PathObjectTools
import qupath.lib.regions.ImagePlane
import qupath.lib.regions.RegionRequest
import qupath.lib.roi.ROIs

// ---- what to set ----------------------------------------------------------------------------------------------------
def segdiff = ["segdiff"]          // the command; with its whole path where QuPath does not find it
def model = "nuclei"               // a name that `segdiff models` lists, or the folder of a model of your own
def pixelSize = null               // micrometres per pixel to export at, such as 0.5; null: as the image is
def channel = null                 // name of the channel that shows the nuclei, for images that are not RGB
def more = []                      // further options of `segdiff predict`, such as ["--device", "cuda"]
// ---------------------------------------------------------------------------------------------------------------------

def MOST = 250_000_000             // pixels of an exported region
def imageData = getCurrentImageData()
def server = imageData.getServer()
if (!server.isRGB() && server.nChannels() > 1) {
    if (channel == null)
        throw new IllegalArgumentException("This image has several channels: set `channel` to the one of the nuclei")
    server = new TransformedServerBuilder(server).extractChannels(channel).build()
}
def calibration = server.getPixelCalibration()
double downsample = 1
if (pixelSize != null) {
    if (!calibration.hasPixelSizeMicrons())
        throw new IllegalArgumentException("The image has no pixel size: leave `pixelSize` null")
    downsample = Math.max(1.0, pixelSize / calibration.getAveragedPixelSizeMicrons())
}

def parents = getSelectedObjects().findAll { it.isAnnotation() && it.getROI().isArea() }
def rois = parents.isEmpty() ?
    [ROIs.createRectangleROI(0, 0, server.getWidth(), server.getHeight(), ImagePlane.getDefaultPlane())] :
    parents.collect { it.getROI() }

def folder = Files.createTempDirectory("segdiff").toFile()
try {
    def requests = rois.collect { RegionRequest.createInstance(server.getPath(), downsample, it) }
    requests.each {
        if (it.getWidth() / downsample * (it.getHeight() / downsample) > MOST)
            throw new IllegalArgumentException("This region is too large to be exported: run `segdiff predict --image SLIDE --instances` " +
                "on the slide's own file, and drag its _outlines.geojson into QuPath")
    }
    def suffix = server.isRGB() ? "png" : "tif"
    // An object's id is made of the picture's name and its number: the name is of this image and region alone.
    def names = requests.collect { "region_" + UUID.nameUUIDFromBytes("${it}".getBytes("UTF-8")) }
    requests.eachWithIndex { request, i ->
        writeImageRegion(server, request, new File(folder, "${names[i]}.${suffix}").getAbsolutePath())
    }

    def results = new File(folder, "out")
    def command = segdiff + ["predict", "--model", model, "--output-dir", results.getAbsolutePath(), "--outputs", "outlines"]
    if (calibration.hasPixelSizeMicrons())
        command += ["--mpp", String.valueOf(calibration.getAveragedPixelSizeMicrons() * downsample)]
    command += more
    command += ["--image"] + names.collect { new File(folder, "${it}.${suffix}").getAbsolutePath() }
    println command.join(" ")
    def process = new ProcessBuilder(command.collect { it.toString() }).redirectErrorStream(true).start()
    process.getInputStream().eachLine { println it }
    if (process.waitFor() != 0)
        throw new RuntimeException("segdiff did not finish; the lines above say why")

    requests.eachWithIndex { request, i ->
        def plain = new File(results, "${names[i]}_outlines.geojson")
        def packed = new File(results, "${names[i]}_outlines.geojson.gz")  // of very many objects
        def stream = plain.exists() ? plain.newInputStream() : new GZIPInputStream(packed.newInputStream())
        def found = stream.withCloseable { PathIO.readObjectsFromGeoJSON(it) }

        // From pixels of the exported region to those of the image.
        def transform = new AffineTransform()
        transform.translate(request.getX(), request.getY())
        transform.scale(request.getDownsample(), request.getDownsample())
        def roi = rois[i]
        def placed = found.collect { PathObjectTools.transformObject(it, transform, true) }.findAll {
            roi.contains(it.getROI().getCentroidX(), it.getROI().getCentroidY())
        }
        if (parents.isEmpty())
            addObjects(placed)
        else
            parents[i].addChildObjects(placed)
        println "${placed.size()} objects"
    }
    fireHierarchyUpdate()
} finally {
    folder.deleteDir()
}
